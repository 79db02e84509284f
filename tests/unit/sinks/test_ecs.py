"""agentd.sinks.ecs"""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentd.core.batch import Batch
from agentd.core.event import Lost
from agentd.core.pipeline import Entry
from agentd.core.tree import Applied, Image
from agentd.sinks.ecs import EcsRenderer
from tests.records import FORCED, LATE, WIRE, execed, exited, fork

BOOT_ID = "0123456789abcdef" + "f" * 16
OFFSET_NS = 1_700_000_000_000_000_000
IMAGE = Image(b"true", b"/bin/true", b"true\0--x\0", 2)
PARENT = Image(b"bash", b"/bin/bash", b"bash\0", 1)

texts = st.binary(max_size=30).map(lambda value: value.replace(b"\0", b""))


def _render(*entries: Entry, sequence: int = 0) -> list[dict[str, Any]]:
    renderer = EcsRenderer(WIRE, BOOT_ID, 4096)
    text = renderer.render(Batch(list(entries), sequence, OFFSET_NS))
    assert text.isascii()
    assert text.count(b"\n") == len(entries)
    return [json.loads(line) for line in text.splitlines()]


def test_an_exec_says_all_there_is() -> None:
    """An exec has the fields of docs/events.md with the event's values."""
    event = execed(
        boottime_ns=5, seq=77, cpu=1, tgid=12, parent_tgid=3, uid=4, gid=6,
        start_boottime_ns=2, parent_start_boottime_ns=1,
    )  # fmt: skip
    (line,) = _render(Applied(event, IMAGE, PARENT, changed=False), sequence=9)
    assert line == {
        "@timestamp": "2023-11-14T22:13:20.000000005Z",
        "event": {
            "kind": "event", "category": ["process"], "type": ["start"], "action": "exec",
            "sequence": 9,
        },
        "process": {
            "pid": 12, "entity_id": "0123456789abcdef-12-2", "name": "true",
            "executable": "/bin/true", "args": ["true", "--x"], "args_count": 2,
            "start": "2023-11-14T22:13:20.000000002Z", "user": {"id": "4"}, "group": {"id": "6"},
            "parent": {
                "pid": 3, "entity_id": "0123456789abcdef-3-1", "name": "bash",
                "executable": "/bin/bash",
            },
        },
        "agentd": {"cpu": 1, "seq": 77, "boottime_ns": 5, "flags": []},
    }  # fmt: skip


def test_an_exit_says_how_it_ended() -> None:
    """A status comes as exit_code, a signal in its stead, both with what the process used."""
    ends = {"utime_ns": 1, "stime_ns": 1, "runtime_ns": 3_000_000, "max_rss_pages": 2}
    normal = Applied(exited(exit_code=3 << 8, **ends), IMAGE, None, changed=False)
    killed = Applied(exited(exit_code=11 | 0x80, **ends), IMAGE, None, changed=False)
    first, second = _render(normal, killed)
    assert first["event"]["type"] == ["end"]
    assert first["process"]["exit_code"] == 3
    assert first["process"]["end"] == first["@timestamp"]
    assert first["agentd"]["cpu_user_seconds"] == first["agentd"]["cpu_system_seconds"] == 0.0015
    assert first["agentd"]["max_rss_bytes"] == 8192
    assert "signal" not in first["agentd"]
    assert "exit_code" not in second["process"]
    assert (second["agentd"]["signal"], second["agentd"]["core_dumped"]) == (11, True)


def test_a_second_image_is_a_change() -> None:
    """The exec of a process that had an image is of type change."""
    (line,) = _render(Applied(execed(), IMAGE, None, changed=True))
    assert line["event"]["type"] == ["change"]


def test_what_is_not_known_is_absent() -> None:
    """Without image, parent or creator the fields are not there."""
    unknown = Image(b"x", b"", b"", 0)
    orphan, first = _render(
        Applied(fork(), unknown, None, changed=False),
        Applied(fork(parent_tgid=0), unknown, None, changed=False),
    )
    assert {"executable", "args", "args_count"} & set(orphan["process"]) == set()
    assert set(orphan["process"]["parent"]) == {"pid", "entity_id"}
    assert "parent" not in first["process"]


def test_flags_by_name() -> None:
    """Flags come out by their names."""
    (line,) = _render(Applied(fork(flags=LATE | FORCED), IMAGE, None, changed=False))
    assert line["agentd"]["flags"] == ["late", "forced"]


def test_a_loss() -> None:
    """A lost event says how many, where, at which stage, of which kind if that is known."""
    known, unknown = _render(
        Lost(50, 7, 1, 3, "reserve", 2, 40), Lost(50, 7, 1, 3, "decode", None, 40)
    )
    assert known["agentd"]["lost"] == {
        "count": 3, "cpu": 1, "stage": "reserve", "kind": "exit",
        "from_boottime_ns": 40, "to_boottime_ns": 50,
    }  # fmt: skip
    assert "kind" not in unknown["agentd"]["lost"]
    assert known["event"] == unknown["event"] | {"sequence": 0}


@given(texts, texts, st.lists(texts, max_size=4))
def test_any_bytes_are_valid_and_recoverable(
    name: bytes, executable: bytes, arguments: list[bytes]
) -> None:
    """Whatever the bytes, the line is JSON, and the bytes can be had back."""
    args = b"".join(argument + b"\0" for argument in arguments)
    image = Image(name, executable, args, len(arguments))
    (line,) = _render(Applied(execed(), image, None, changed=False))
    process, raw = line["process"], line["agentd"].get("raw", {})

    def recovered(field: str, text: str) -> bytes:
        return base64.b64decode(raw[field]) if field in raw else text.encode()

    assert recovered("name", process["name"]) == name
    assert recovered("executable", process.get("executable", "")) == executable
    joined = "".join(f"{argument}\0" for argument in process.get("args", []))
    assert recovered("args", joined) == args


def test_parts_are_kept_apart() -> None:
    """What was rendered for one process is not used for another."""
    lines = _render(
        *(
            Applied(fork(tgid=tgid, start_boottime_ns=start), IMAGE, None, changed=False)
            for tgid in (1, 2)
            for start in (5, 6)
        )
    )
    assert len({line["process"]["entity_id"] for line in lines}) == 4
