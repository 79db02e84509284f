"""agentd.sinks.render.ecs"""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentd.core.batch import Batch
from agentd.core.names import Names
from agentd.core.pipeline import Entry
from agentd.core.tree.process import Applied, Doubt, Image, Leaders, Notes
from agentd.core.tree.reconcile import Inferred
from agentd.core.wire.events import Lost
from agentd.sinks.render.ecs import EcsRenderer
from tests.records import EXEC, FORCED, LATE, WIRE, execed, exited, fork, place

BOOT_ID = "0123456789abcdef" + "f" * 16
OFFSET_NS = 1_700_000_000_000_000_000
IMAGE = Image(b"true", b"/bin/true", b"true\0--x\0", 2)
PARENT = Image(b"bash", b"/bin/bash", b"bash\0", 1)

CONTAINER = "a1" * 32
POD = "01234567-89ab-cdef-0123-456789abcdef"
PATHS = {
    1: "/",
    44: "/system.slice/ssh.service",
    45: f"/docker/{CONTAINER}",
    46: f"/kubepods/burstable/pod{POD}/{CONTAINER}",
}


def nobody(number: int) -> str | None:
    """An id without a name."""


texts = st.binary(max_size=30).map(lambda value: value.replace(b"\0", b""))


def _render(*entries: Entry, sequence: int = 0) -> list[dict[str, Any]]:
    renderer = EcsRenderer(WIRE, BOOT_ID, 4096, Names(PATHS.get, {0: "root"}.get, {0: "root"}.get))
    text = renderer.render(Batch(list(entries), sequence, OFFSET_NS))
    assert text.isascii()
    assert text.count(b"\n") == len(entries)
    return [json.loads(line) for line in text.splitlines()]


def test_an_exec_says_all_there_is() -> None:
    """An exec has the fields of docs/events.md with the event's values."""
    event = execed(
        boottime_ns=5, seq=77, cpu=1, tgid=12, parent_tgid=3, uid=4, gid=6,
        start_boottime_ns=2, parent_start_boottime_ns=1,
        filename=b"./true", path=b"/bin/true", cwd=b"/home/x",
        process_group=12, session=11, ns_tgid=2, flags=WIRE.constant("AGENTD_INTERACTIVE"),
        place=place(
            real_uid=7, real_gid=8, exe_inode=99, exe_device=8 << 20 | 1,
            caps_permitted=(1 << 41) - 1, login_uid=1000, audit_session=3, cgroup_id=44,
            tty=b"pts3".ljust(16, b"\0"), tty_device=136 << 20 | 3, pid_ns=31, mnt_ns=30,
        ),
    )  # fmt: skip
    leaders = Leaders((12, 2), (11, 0), (10, 1), "ssh")
    applied = Applied(event, IMAGE, PARENT, changed=False, leaders=leaders)
    (line,) = _render(applied, sequence=9)
    assert line == {
        "@timestamp": "2023-11-14T22:13:20.000000005Z",
        "event": {
            "kind": "event", "category": ["process"], "type": ["start"], "action": "exec",
            "sequence": 9, "id": "0123456789abcdef-1-77",
        },
        "process": {
            "pid": 12, "entity_id": "0123456789abcdef-12-2", "name": "true",
            "executable": "/bin/true", "args": ["true", "--x"], "args_count": 2,
            "start": "2023-11-14T22:13:20.000000002Z", "user": {"id": "4"}, "group": {"id": "6"},
            "parent": {
                "pid": 3, "entity_id": "0123456789abcdef-3-1", "name": "bash",
                "executable": "/bin/bash",
            },
            "working_directory": "/home/x", "interactive": True,
            "tty": {"char_device": {"major": 136, "minor": 3}},
            "real_user": {"id": "7"}, "real_group": {"id": "8"},
            "group_leader": {"pid": 12, "entity_id": "0123456789abcdef-12-2"},
            "session_leader": {"pid": 11},
            "entry_leader": {
                "pid": 10, "entity_id": "0123456789abcdef-10-1", "entry_meta": {"type": "ssh"},
            },
        },
        "agentd": {
            "cpu": 1, "seq": 77, "boottime_ns": 5, "flags": [],
            "exec": {"filename": "./true", "inode": "99", "device": "8:1"},
            "capabilities": {"effective": "0000000000000000", "permitted": "000001ffffffffff"},
            "login_uid": 1000, "audit_session": 3, "tty": "pts/3",
            "cgroup": {
                "id": 44, "path": "/system.slice/ssh.service",
                "unit": "ssh.service", "slice": "system.slice",
            },
            "namespaces": {"pid": 31, "mnt": 30, "pid_inside": 2},
        },
    }  # fmt: skip


def test_an_exec_leaves_out_what_is_not_known() -> None:
    """Without a terminal, a login or a folder that could be read there is no such field."""
    cut = WIRE.constant("AGENTD_CWD_TRUNCATED")
    (line,) = _render(Applied(execed(filename=b"", cwd=b"", flags=cut), IMAGE, None, changed=False))
    assert "working_directory" not in line["process"]
    assert not {"tty", "login_uid", "audit_session"} & set(line["agentd"])
    assert "filename" not in line["agentd"]["exec"]
    assert line["agentd"]["flags"] == ["cwd_truncated"]


def test_a_file_that_is_no_ordinary_program() -> None:
    """Scripts and files without a name are marked."""
    for name in ("script", "unlinked", "memfd"):
        flags = WIRE.constant(f"AGENTD_{name.upper()}")
        (line,) = _render(Applied(execed(flags=flags), IMAGE, None, changed=False))
        assert set(line["agentd"]["exec"]) == {"filename", "inode", "device", name}
        assert line["agentd"]["exec"][name] is True
        assert line["agentd"]["flags"] == []


@given(texts, texts)
def test_names_that_are_no_text_are_recoverable(filename: bytes, cwd: bytes) -> None:
    """Of an exec's own names, too, what is not UTF-8 stands in raw."""
    event = execed(filename=filename, path=b"/x", cwd=cwd)
    (line,) = _render(Applied(event, IMAGE, None, changed=False))
    raw = line["agentd"].get("raw", {})
    for name, value, told in (
        ("filename", filename, line["agentd"]["exec"].get("filename", "")),
        ("working_directory", cwd, line["process"].get("working_directory", "")),
    ):
        assert (base64.b64decode(raw[name]) if name in raw else told.encode()) == value


def test_what_is_not_certain_is_told() -> None:
    """Suspects are named, and why a parent is not known; a certain event says neither."""
    doubts = (Doubt(True, False, "lost"), Doubt(False, True, ""), None)
    lines = _render(*(Applied(fork(), IMAGE, None, changed=False, doubt=d) for d in doubts))
    told = [(line["agentd"].get("suspect"), line["agentd"].get("parent_unknown")) for line in lines]
    assert told == [(["process"], "lost"), (["parent"], None), (None, None)]


def test_what_there_was_no_time_for_is_told() -> None:
    """A filter that could not decide, and arguments that nobody has searched for secrets."""
    undecided = Doubt(False, False, "", "output.filter")
    hidden = IMAGE._replace(notes=Notes.REDACTION_INCOMPLETE)
    lines = _render(
        Applied(fork(), IMAGE, None, changed=False, doubt=undecided),
        Applied(execed(), hidden, None, changed=False),
        Applied(execed(), IMAGE, None, changed=False),
    )
    found = [(line["agentd"].get("undecided"), line["agentd"].get("redaction")) for line in lines]
    assert found == [(["output.filter"], None), (None, "incomplete"), (None, None)]


def test_ids_have_their_names() -> None:
    """Users and groups are named where the host names them, also once that has become known."""
    names: dict[int, str] = {}
    renderer = EcsRenderer(WIRE, BOOT_ID, 4096, Names(nobody, names.get, names.get))
    batch = Batch([Applied(fork(uid=5, gid=6), IMAGE, None, changed=False)], 0, OFFSET_NS)
    before = json.loads(renderer.render(batch))["process"]
    names.update({5: 'jo"e', 6: "staff"})
    after = json.loads(renderer.render(batch))["process"]
    assert (before["user"], before["group"]) == ({"id": "5"}, {"id": "6"})
    assert (after["user"], after["group"]) == (
        {"id": "5", "name": 'jo"e'},
        {"id": "6", "name": "staff"},
    )


def test_real_ids_have_their_names() -> None:
    """Likewise those of an exec, though the rest of what is rendered of it is kept."""
    names: dict[int, str] = {}
    renderer = EcsRenderer(WIRE, BOOT_ID, 4096, Names(PATHS.get, names.get, names.get))
    event = execed(place=place(real_uid=5, real_gid=6, cgroup_id=44))
    batch = Batch([Applied(event, IMAGE, None, changed=False)], 0, OFFSET_NS)
    told = []
    for known in ({}, {5: "joe"}, {6: "staff"}, {}):
        names.update(known)
        process = json.loads(renderer.render(batch))["process"]
        told.append((process["real_user"].get("name"), process["real_group"].get("name")))
    assert told[0] == (None, None)
    assert told[2:] == [("joe", "staff")] * 2


def test_a_container_is_named() -> None:
    """By its id and runtime, or with the pod that it is in."""
    execs = [execed(place=place(cgroup_id=number), seq=number) for number in (45, 46, 1, 99)]
    lines = _render(*(Applied(event, IMAGE, None, changed=False) for event in execs))
    docker, kube, root, unknown = lines
    assert docker["container"] == {"id": CONTAINER, "runtime": "docker"}
    assert "orchestrator" not in docker
    assert kube["container"] == {"id": CONTAINER}
    assert kube["orchestrator"] == {
        "type": "kubernetes",
        "resource": {"type": "pod", "id": POD},
    }
    assert root["agentd"]["cgroup"] == {"id": 1, "path": "/"}
    assert unknown["agentd"]["cgroup"] == {"id": 99}
    assert not {"container", "orchestrator"} & (set(root) | set(unknown))


def test_a_cgroup_that_becomes_known() -> None:
    """A path that is not known at first is asked for again."""
    paths: dict[int, str] = {}
    renderer = EcsRenderer(WIRE, BOOT_ID, 4096, Names(paths.get, nobody, nobody))
    batch = Batch([Applied(execed(), IMAGE, None, changed=False)], 0, OFFSET_NS)
    assert "path" not in json.loads(renderer.render(batch))["agentd"]["cgroup"]
    paths[1] = "/"
    assert json.loads(renderer.render(batch))["agentd"]["cgroup"]["path"] == "/"


def test_io_is_told_where_it_is_accounted() -> None:
    """Bytes read and written are left out on a kernel that does not count them."""
    counted = exited(read_bytes=4096, written_bytes=0)
    unknown = exited(seq=1, read_bytes=(1 << 64) - 1, written_bytes=(1 << 64) - 1)
    first, second = _render(*(Applied(e, IMAGE, None, changed=False) for e in (counted, unknown)))
    assert (first["agentd"]["read_bytes"], first["agentd"]["written_bytes"]) == (4096, 0)
    assert "read_bytes" not in second["agentd"]


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
    assert first["agentd"]["wall_seconds"] == 100 / 1e9
    assert "signal" not in first["agentd"]
    assert "exit_code" not in second["process"]
    assert (second["agentd"]["signal"], second["agentd"]["core_dumped"]) == (11, True)


def test_a_creator_that_is_not_the_parent() -> None:
    """A fork with CLONE_PARENT names both; the others have one that made them."""
    other = fork(creator_tgid=7, creator_start_boottime_ns=8, seq=1)
    first, second = _render(*(Applied(e, IMAGE, None, changed=False) for e in (fork(), other)))
    assert "creator" not in first["agentd"]
    assert second["agentd"]["creator"] == {"pid": 7, "entity_id": "0123456789abcdef-7-8"}
    assert second["process"]["parent"]["pid"] == 1


def test_what_the_kernel_does_not_tell_of_a_place() -> None:
    """Without a mount namespace's number, or a terminal's, or what is open, fields are absent."""
    flags = WIRE.constant("AGENTD_INTERACTIVE_UNKNOWN")
    without = execed(place=place(mnt_ns=0, tty=b"tty1".ljust(16, b"\0")), flags=flags)
    (line,) = _render(Applied(without, IMAGE, None, changed=False))
    assert set(line["agentd"]["namespaces"]) == {"pid", "pid_inside"}
    assert "interactive" not in line["process"]
    assert "tty" not in line["process"]


def test_a_process_without_its_terminal_is_not_interactive() -> None:
    """The same command in the same place, with its input or errors elsewhere."""
    flags = WIRE.constant("AGENTD_INTERACTIVE"), 0
    on, off = _render(*(Applied(execed(flags=f), IMAGE, None, changed=False) for f in flags))
    assert (on["process"].pop("interactive"), off["process"].pop("interactive")) == (True, False)
    assert on["process"] == off["process"]
    assert on["agentd"]["flags"] == []


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


def test_a_clock_that_is_set_back_between_two_events() -> None:
    """No process ends before it starts: both are by the clock of the line that says so."""
    renderer = EcsRenderer(WIRE, BOOT_ID, 4096, Names(PATHS.get, nobody, nobody))
    hour_ns = 3_600_000_000_000
    key = {"tgid": 7, "start_boottime_ns": 2_000_000_000}
    begins = Applied(fork(boottime_ns=2_000_000_000, **key), IMAGE, PARENT, changed=False)
    ends = Applied(exited(boottime_ns=3_000_000_000, **key), IMAGE, PARENT, changed=False)
    renderer.render(Batch([begins], 0, OFFSET_NS))
    line = json.loads(renderer.render(Batch([ends], 1, OFFSET_NS - hour_ns)))
    assert line["process"]["start"] == "2023-11-14T21:13:22.000000000Z"
    assert line["process"]["end"] == "2023-11-14T21:13:23.000000000Z"


def test_an_inode_number_of_64_bits() -> None:
    """It is text, which no reader rounds: overlayfs with xino sets the highest bits."""
    inode = (1 << 64) - 2
    event = execed(place=place(exe_inode=inode))
    (line,) = _render(Applied(event, IMAGE, PARENT, changed=False))
    assert line["agentd"]["exec"]["inode"] == str(inode)


def test_what_proc_alone_says_is_marked() -> None:
    """An exec that was inferred has what differs, and what was known before."""
    image = IMAGE._replace(notes=Notes.FROM_PROC)
    entry = Inferred(5, EXEC, (7, 2), (3, 1), image, None, (0, 0), evidence="file", before=PARENT)
    later = Applied(exited(boottime_ns=9), image, None, changed=False)
    inferred, ended = _render(entry, later)
    assert inferred["agentd"]["source"] == ended["agentd"]["source"] == "proc"
    assert inferred["agentd"]["evidence"] == "file"
    assert inferred["agentd"]["before"] == {
        "name": "bash", "executable": "/bin/bash", "args": ["bash"], "args_count": 1,
    }  # fmt: skip


def test_text_that_was_forgotten_is_marked() -> None:
    """How many arguments there were stays."""
    image = IMAGE._replace(args=b"", notes=Notes.ARGS_FORGOTTEN)
    (line,) = _render(Applied(exited(), image, None, changed=False))
    assert line["agentd"]["forgotten"] == ["args"]
    assert (line["process"]["args_count"], "args" in line["process"]) == (2, False)
