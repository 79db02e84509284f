"""agentd.control: from the tree to what an operator reads."""

from __future__ import annotations

import argparse
import json
import re
import socket
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from agentd.cli import client, query, status
from agentd.cli.client import ask
from agentd.cli.explain import render
from agentd.core.names import Names
from agentd.core.tree.process import SOMEBODY
from agentd.core.tree.tree import Tree
from agentd.errors import AnswerError, ConfigError, UnavailableError
from agentd.filters.facts import FactFinder
from agentd.filters.language import parse_filter
from agentd.filters.patterns import QuestionSearch
from agentd.front.control_socket import listening
from agentd.snapshot.answers import Subject
from agentd.terminal import style
from tests.questions import answered
from tests.records import TICK_NS, WIRE, execed, exited, fork, lost, tree_limits

ENTITY = "0123456789abcdef"
SHELL: dict[str, Any] = {"tgid": 10, "start_boottime_ns": 100, "parent_tgid": 0}
CHILD: dict[str, Any] = {
    "tgid": 11, "start_boottime_ns": 200, "parent_tgid": 10, "parent_start_boottime_ns": 100,
}  # fmt: skip


def _tree() -> Tree:
    """A shell, and its child that ran two programs and was killed."""
    tree = Tree(tree_limits(), TICK_NS)
    tree.apply(fork(boottime_ns=100, **SHELL))
    tree.apply(execed(b"/bin/sh", b"sh\0-c\0", boottime_ns=150, session=10, **SHELL))
    tree.apply(fork(boottime_ns=200, **CHILD))
    tree.apply(execed(b"/bin/a", b"a\0", boottime_ns=250, session=10, **CHILD))
    tree.apply(execed(b"/bin/b", b"b\0\x1b[1m\xff\0", boottime_ns=300, session=10, **CHILD))
    tree.apply(exited(boottime_ns=400, exit_code=9, **CHILD))
    return tree


def _user(uid: int) -> str | None:
    return {0: "root"}.get(uid)


def _answer(query: str, tree: Tree, path: str) -> tuple[int, bytes]:
    """Status and body."""
    facts = FactFinder(tree, WIRE, Names(lambda cgroup: None, _user, _user), ENTITY)
    return answered(Subject(tree, ENTITY, lambda: 0, facts), path, query)


def _ask(query: str, tree: Tree, path: str = "/v1/explain") -> tuple[int, Any]:
    status, body = _answer(query, tree, path)
    return status, json.loads(body)


def _lines(query: str, tree: Tree) -> list[dict[str, Any]]:
    """Those of /v1/processes."""
    return [json.loads(line) for line in _answer(query, tree, "/v1/processes")[1].splitlines()]


def test_everything_about_a_process() -> None:
    """Who it is and was, what it ran, who is above it and how it ended."""
    status, answer = _ask("id=11", _tree())
    assert status == 200
    process = answer["process"]
    assert process["entity_id"] == f"{ENTITY}-11-200"
    assert process["creator"] == {"pid": 10, "entity_id": f"{ENTITY}-10-100"}
    assert (process["live"], process["signal"], process["exit_code"]) == (False, 9, None)
    assert process["end"] == "1970-01-01T00:00:00.000000400Z"
    assert [image["executable"] for image in answer["images"]] == ["/bin/sh", "/bin/a", "/bin/b"]
    assert answer["images"][2]["args"] == ["b", "\x1b[1m\ufffd"]
    assert [(a["pid"], a["relation"]) for a in answer["ancestors"]] == [(10, "creator")]
    assert answer["ancestors_gap"] is None
    assert answer["children"] == []


def test_a_parent_that_is_not_known() -> None:
    """An orphan whose adopter was not found has no parent to show, and says why."""
    tree = _tree()
    tree.apply(fork(**CHILD | {"tgid": 12}, boottime_ns=450))
    orphaned = exited(boottime_ns=500, adopter_start_boottime_ns=SOMEBODY[1], **SHELL)
    tree.apply(orphaned)
    answer = _ask("id=12", tree)[1]
    process = answer["process"]
    assert (process["parent"], process["parent_unknown"]) == (None, "adopter")
    assert re.search("^parent +not known: .*/proc", render(answer), re.M)
    assert _lines("filter=parent = 0", tree) == _lines("filter=parent = 10", tree) == []
    assert _ask("id=11", tree)[1]["process"]["parent_unknown"] is None


def test_lists_of_processes() -> None:
    """Those that live, and with ``exited=1`` those remembered; of these what a filter wants."""
    tree = _tree()
    assert [row["pid"] for row in _lines("", tree)] == [10]
    assert [row["pid"] for row in _lines("exited=1", tree)] == [10, 11]
    assert [row["pid"] for row in _lines('exited=1&filter=exe ~ "b"&filter=pid>10', tree)] == [11]
    status, answer = _ask("filter=exe ~", tree, "/v1/processes")
    assert (status, "filter, column" in answer["error"]) == (400, True)


def test_a_filter_that_cannot_be_decided_is_an_error() -> None:
    """A process is never listed because a search took too long; the error has the way out."""
    tree = _tree()
    hostile = b"a" * 16_000 + b"!"
    tree.apply(execed(b"/bin/c", hostile + b"\0", boottime_ns=350, session=10, **SHELL))
    status, answer = _ask("filter=args ~ '^(a%2B)%2B$'", tree, "/v1/processes")
    assert (status, "pid != 10 and" in answer["error"]) == (503, True)
    assert _lines("filter=pid != 10 and args ~ '^(a%2B)%2B$'", tree) == []
    assert _lines("filter=args ~ '^(a%2B)%2B$'&filter=pid = 11", tree) == []


def _sent_filters(
    monkeypatch: pytest.MonkeyPatch, user: str | None, container: str | None
) -> list[str]:
    sent: list[str] = []

    def note(path: str, question: str, *, filter: list[str], exited: str) -> list[Any]:  # noqa: A002
        sent.extend(filter)
        return [{}]

    monkeypatch.setattr(client, "ask_lines", note)
    arguments = argparse.Namespace(socket="", filter="", user=user, container=container)
    query._processes(arguments, exited=False)
    return sent


@pytest.mark.parametrize("name", ["alice", "EXAMPLE\\alice", 'a"b', "o'neil", "a\\.b", "and"])
def test_a_user_is_compared_and_not_searched(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An exact name needs no search, which could be given up."""
    (text,) = _sent_filters(monkeypatch, name, None)

    def never(pattern: object, text: str) -> bool | None:
        raise AssertionError("nothing is to be searched")

    verdicts = [parse_filter(text).verdict({"user": user}, never) for user in (name, f"{name}x")]
    assert verdicts == [True, False]


def test_a_container_is_found_by_its_first_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are digits, and no pattern."""
    (text,) = _sent_filters(monkeypatch, None, "a.")
    search = QuestionSearch()
    ids = ("a.b", "ab", "xa.")
    assert [parse_filter(text).verdict({"container": one}, search) for one in ids] == [
        True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["a\\", "a\"'"])
def test_a_user_that_no_filter_can_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Is refused, and not asked for as something else."""
    with pytest.raises(AnswerError, match="nothing can be so called"):
        _sent_filters(monkeypatch, name, None)


def test_by_entity_id() -> None:
    """The printed name of a process finds it, and its children."""
    status, answer = _ask(f"id={ENTITY}-10-100", _tree())
    assert (status, answer["process"]["live"]) == (200, True)
    assert [child["pid"] for child in answer["children"]] == [11]


def test_a_loss_is_told() -> None:
    """After one, what was known before is suspect."""
    tree = _tree()
    tree.doubts.lose(lost(500))
    assert _ask("id=10", tree)[1]["process"]["suspect"] is True


@pytest.mark.parametrize(
    ("query", "path", "status", "words"),
    [
        ("id=12", "/v1/explain", 404, "nothing is known of 12"),
        (f"id={ENTITY}-12-5", "/v1/explain", 404, "nothing is known"),
        ("id=fedcba9876543210-12-5", "/v1/explain", 400, "another boot"),
        ("id=x", "/v1/explain", 400, "'x' is no pid and no entity id"),
        ("", "/v1/explain", 400, "no pid"),
        ("id=%FF", "/v1/explain", 400, "no pid"),
        (f"id={'9' * 5000}", "/v1/explain", 400, "…' is no pid"),
    ],
)
def test_what_cannot_be_answered(query: str, path: str, status: int, words: str) -> None:
    """Each has its status and says why."""
    got, answer = _ask(query, _tree(), path)
    assert got == status
    assert words in answer["error"]


def test_an_answer_for_people() -> None:
    """The line of ancestors, then the facts; nothing in it reaches the terminal as a command."""
    text = render(_ask("id=11", _tree())[1])
    lines = text.splitlines()
    assert lines[0].split("  ", 1)[1] == "10 /bin/sh -c"
    assert lines[1].split("  ", 1)[1].startswith("└─ 11 /bin/b '\\x1b[1m")
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.000  ", line) for line in lines[:2])
    assert "by signal 9" in lines[1]
    assert text.count("ran ") == 3
    assert all(line.isprintable() for line in lines)
    shell = render(_ask("id=10", _tree())[1])
    assert "live" in shell
    assert re.search(r"^child +1970-01-01 \S+  11 /bin/b", shell, re.M)


def test_times_are_in_the_zone_of_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of an answer, and it says which zone that is."""
    monkeypatch.setenv("TZ", "XYZ-5:30")
    time.tzset()
    try:
        text = render(_ask("id=10", _tree())[1])
        offset = style.utc_offset_seconds()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert "started    1970-01-01 05:30:00.000+05:30\n" in text
    assert text.startswith("1970-01-01 05:30:00.000  ")
    assert offset == 5.5 * 3600


def test_a_gap_is_told_to_people() -> None:
    """Where the line of ancestors begins with somebody whose creator is not known."""
    tree = _tree()
    tree.doubts.lose(lost(10_000))
    tree.apply(fork(tgid=20, start_boottime_ns=900, parent_tgid=19, parent_start_boottime_ns=800))
    assert render(_ask("id=20", tree)[1]).startswith(
        "…  further up nothing is known: events were lost"
    )


@pytest.mark.parametrize(
    ("pid", "from_ns", "to_ns", "is_near"),
    [
        (11, 210, 220, True),
        (11, 50, 5_000_000_000, True),
        (11, 1_000_000_300, 1_000_000_399, True),
        (11, 1_000_000_500, 1_000_000_600, False),
        (10, 1_000_000_500, 1_000_000_600, True),
    ],
)
def test_losses_near_a_process(pid: int, from_ns: int, to_ns: int, *, is_near: bool) -> None:
    """Those while it lived, or up to a second before or after, are told with it."""
    tree = _tree()
    tree.doubts.lose(lost(to_ns, 7, from_ns))
    answer = _ask(f"id={pid}", tree)[1]
    assert [gap["count"] for gap in answer["gaps"]] == [7] * is_near
    assert (": 7 events lost on CPU 0 (reserve)\n" in render(answer)) == is_near
    if is_near:
        (gap,) = answer["gaps"]
        assert (gap["cpu"], gap["kind"], gap["stage"]) == (0, None, "reserve")
        assert gap["to"] == f"1970-01-01T00:00:0{to_ns // 10**9}.{to_ns % 10**9:09d}Z"


def test_losses_that_follow_each_other() -> None:
    """On one CPU and within a moment they are one gap to people; each is told to programs."""
    tree = _tree()
    for from_ns, to_ns in ((210, 220), (50_000_220, 50_000_230), (200_000_000, 200_000_001)):
        tree.doubts.lose(lost(to_ns, 1, from_ns))
    tree.doubts.lose(lost(240, 1, 230)._replace(cpu=1))
    answer = _ask("id=11", tree)[1]
    assert [gap["count"] for gap in answer["gaps"]] == [1] * 4
    shown = [line for line in render(answer).splitlines() if line.startswith("gap ")]
    assert [line.split(": ")[1] for line in shown] == [
        "2 events lost on CPU 0 (reserve)",
        "1 event lost on CPU 0 (reserve)",
        "1 event lost on CPU 1 (reserve)",
    ]


def test_losses_too_old_to_be_known() -> None:
    """Since when they are known is told with a process that is older."""
    tree = _tree()
    assert "known since" not in render(_ask("id=10", tree)[1])
    tree.doubts.begun_ns = 150
    assert _ask("id=10", tree)[1]["gaps_known_since"] == "1970-01-01T00:00:00.000000150Z"
    assert "gaps       known since " in render(_ask("id=10", tree)[1])
    assert "known since" not in render(_ask("id=11", tree)[1])


def test_the_socket_is_for_its_owner_and_group(tmp_path: Path) -> None:
    """Its folder is made; it is gone afterwards, and a stale one is replaced."""
    path = tmp_path / "made" / "agentd.sock"
    with listening(str(path), None) as sock:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert sock.family == socket.AF_UNIX
    assert not path.exists()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    with listening(str(path), None):
        pass


def test_a_socket_that_somebody_listens_at(tmp_path: Path) -> None:
    """Is left alone."""
    path = str(tmp_path / "agentd.sock")
    with listening(path, None):
        with (
            pytest.raises(ConfigError, match="another agentd listens there"),
            listening(path, None),
        ):
            pass
        assert Path(path).exists()


def test_a_file_in_the_way(tmp_path: Path) -> None:
    """A file that is no socket is never removed."""
    path = tmp_path / "agentd.sock"
    path.write_text("precious")
    with pytest.raises(ConfigError, match="cannot listen there"), listening(str(path), None):
        pass
    assert path.read_text() == "precious"


class FakeLog:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.warnings: list[tuple[str, dict[str, Any]]] = []

    def warning(self, event: str, **values: Any) -> None:
        """One more."""
        self.warnings.append((event, values))


def test_a_socket_that_cannot_be_removed(tmp_path: Path) -> None:
    """Is a warning at the end, and no failure."""
    path, log = tmp_path / "agentd.sock", FakeLog()
    with listening(str(path), log):
        path.unlink()
        path.mkdir()
    values = {"socket": str(path), "problem": "Is a directory"}
    assert log.warnings == [("the control socket stays behind", values)]


def test_nobody_answers(tmp_path: Path) -> None:
    """Without a daemon the error says where nobody is, and what to do."""
    path = str(tmp_path / "none.sock")
    with pytest.raises(UnavailableError, match=r"none\.sock.*systemctl status"):
        ask(path, "explain", id="1")


@pytest.mark.parametrize(
    ("difference", "problem"),
    [
        ({}, ""),
        ({"healthy": False, "reason": "stalled"}, "stalled"),
        ({"imbalance": 2}, "imbalance 2"),
        ({"sinks": [{"name": "a", "failure": ""}, {"name": "b", "failure": "full"}]}, "b: full"),
    ],
    ids=["well", "stalled", "imbalance", "a sink"],
)
def test_what_is_not_well_is_named(difference: dict[str, Any], problem: str) -> None:
    """A pipeline that stands, an account that does not add up, a sink that cannot be written."""
    good: dict[str, Any] = {"healthy": True, "reason": "ok", "imbalance": 0, "sinks": []}
    assert status.problem(good | difference) == problem
    assert status.is_well(good | difference) == (not problem)
