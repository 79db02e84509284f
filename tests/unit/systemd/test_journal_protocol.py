"""agentd.systemd.journal_protocol"""

from __future__ import annotations

import ast
import inspect
import os
import re
import textwrap
from pathlib import Path

from agentd.daemon.stats import Reporting
from agentd.systemd.journal_protocol import MESSAGE_IDS, entry, is_journal

ROOT = Path(__file__).resolve().parents[3]
CATALOG = ROOT / "packaging/agentd.catalog"


def test_an_entry_has_fields_to_query_by() -> None:
    """The sentence, its priority and id, and every value under its own name."""
    event = {"event": "events lost", "level": "warning", "count": 3, "cpus": {"1": 3}}
    assert entry(event) == {
        "MESSAGE": 'events lost: count=3 cpus={"1": 3}',
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "agentd",
        "MESSAGE_ID": MESSAGE_IDS["events lost"],
        "AGENTD_COUNT": "3",
        "AGENTD_CPUS": '{"1": 3}',
    }
    assert entry({"event": "hello", "level": "info"})["MESSAGE"] == "hello"


def test_an_entry_may_bring_its_sentence() -> None:
    """Then that is the message, and no field."""
    event = {"event": "events lost", "level": "warning", "message": "3 events lost", "count": 3}
    assert entry(event) == {
        "MESSAGE": "3 events lost",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "agentd",
        "MESSAGE_ID": MESSAGE_IDS["events lost"],
        "AGENTD_COUNT": "3",
    }


def test_the_catalog_explains_each_id() -> None:
    """Every id has its entry, and no other is there."""
    text = CATALOG.read_text()
    ids = re.findall(r"^-- ([0-9a-f]{32})$", text, re.M)
    assert sorted(ids) == sorted(MESSAGE_IDS.values())
    assert len(set(ids)) == len(ids)
    assert text.count("Subject: ") == text.count("Defined-By: agentd") == len(ids)


def _logged_keys() -> dict[str, set[str]]:
    """By event, what the calls that log it give beside it."""
    keys: dict[str, set[str]] = {"stopped": _keys_of_the_last_word()}
    for path in (ROOT / "agentd").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="info" | "warning" | "error"),
                    args=[ast.Constant(value=str(event))],
                    keywords=keywords,
                ):
                    given = {keyword.arg for keyword in keywords if keyword.arg}
                    keys.setdefault(event, set()).update(given)
    return keys


def _keys_of_the_last_word() -> set[str]:
    source = textwrap.dedent(inspect.getsource(Reporting.account))
    found = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Dict))
    return {str(key.value) for node in found for key in node.keys if isinstance(key, ast.Constant)}


def test_the_catalog_shows_fields_that_are_there() -> None:
    """Each @FIELD@ of an entry is one that agentd logs with that message, wherever it does."""
    keys = _logged_keys()
    entries = re.split(r"^-- ([0-9a-f]{32})$", CATALOG.read_text(), flags=re.M)[1:]
    shown = {
        message_id: re.findall(r"@AGENTD_(\w+)@", text)
        for message_id, text in zip(entries[::2], entries[1::2], strict=True)
    }
    assert sum(map(len, shown.values())) > 10
    for event, message_id in MESSAGE_IDS.items():
        assert {name.lower() for name in shown[message_id]} <= keys[event], event


def test_whether_it_leads_to_the_journal(tmp_path: Path) -> None:
    """By device and inode; closed or elsewhere, it does not."""
    with (tmp_path / "file").open("wb") as file:
        status = os.fstat(file.fileno())
        stream = f"{status.st_dev}:{status.st_ino}"
        assert is_journal(file.fileno(), stream)
        assert not is_journal(file.fileno(), "1:2")
        assert not is_journal(file.fileno(), "")
    assert not is_journal(9999, stream)
