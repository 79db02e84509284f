"""agentd.journal_log"""

from __future__ import annotations

import os
import re
from pathlib import Path

from agentd.journal_log import MESSAGE_IDS, entry, is_journal

CATALOG = Path(__file__).resolve().parents[2] / "packaging/agentd.catalog"


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


def test_the_catalog_explains_each_id() -> None:
    """Every id has its entry, and no other is there; the fields that it shows exist."""
    text = CATALOG.read_text()
    ids = re.findall(r"^-- ([0-9a-f]{32})$", text, re.M)
    assert sorted(ids) == sorted(MESSAGE_IDS.values())
    assert len(set(ids)) == len(ids)
    assert text.count("Subject: ") == text.count("Defined-By: agentd") == len(ids)


def test_whether_it_leads_to_the_journal(tmp_path: Path) -> None:
    """By device and inode; closed or elsewhere, it does not."""
    with (tmp_path / "file").open("wb") as file:
        status = os.fstat(file.fileno())
        stream = f"{status.st_dev}:{status.st_ino}"
        assert is_journal(file.fileno(), stream)
        assert not is_journal(file.fileno(), "1:2")
        assert not is_journal(file.fileno(), "")
    assert not is_journal(9999, stream)
