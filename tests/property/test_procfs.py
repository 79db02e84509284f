"""agentd.host.procfs, for processes that vanish while they are read,
and names that mean mischief."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from agentd.host import clock, procfs

names = st.binary(min_size=1, max_size=15).filter(lambda name: b"\0" not in name)
maybe = st.booleans()
processes = st.fixed_dictionaries(
    {
        "name": names,
        "parent": st.integers(0, 8),
        "ticks": st.integers(0, 10**9),
        "state": st.sampled_from([b"S", b"R", b"Z", b"X", b"D", b"I"]),
        "has_stat": maybe,
        "has_status": maybe,
        "cmdline": st.none() | st.binary(max_size=40),
        "cgroup": st.none() | st.sampled_from(["/", "/a", "/a/b", "/ab", ""]),
        "exe": st.none() | st.sampled_from(["/bin/x", "/gone (deleted)", "x\ny"]),
    }
)


def _write(folder: Path, tgid: int, process: dict[str, object]) -> None:
    own = folder / str(tgid)
    own.mkdir()
    if process["has_stat"]:
        text = b"%d (%s) %s %d 1 2 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 %d 0\n"
        fields = (tgid, process["name"], process["state"], process["parent"], process["ticks"])
        (own / "stat").write_bytes(text % fields)
    if process["has_status"]:
        (own / "status").write_bytes(b"Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n")
    if isinstance(process["cmdline"], bytes):
        (own / "cmdline").write_bytes(process["cmdline"])
    if process["cgroup"] is not None:
        (own / "cgroup").write_text(f"0::{process['cgroup']}\n")
    if process["exe"] is not None:
        (own / "exe").symlink_to(str(process["exe"]))


@settings(max_examples=60)
@given(st.dictionaries(st.integers(1, 8), processes), st.sampled_from(["", "/a", "a/"]))
def test_whatever_is_left_of_a_process(there: dict[int, dict[str, object]], cgroup: str) -> None:
    """Whichever files are gone already, exactly those with a stat that are not dead are found."""
    with tempfile.TemporaryDirectory() as name:
        for tgid, process in there.items():
            _write(Path(name), tgid, process)
        found = {seen.process.key: seen.process for seen in procfs.Look(name, cgroup)}
    alive = {t: p for t, p in there.items() if p["has_stat"] and p["state"] not in (b"Z", b"X")}
    ticks = {t: int(str(p["ticks"])) * clock.TICK_NS for t, p in there.items() if p["has_stat"]}
    assert set(found) == {(tgid, ticks[tgid]) for tgid in alive}
    for (tgid, _), seen in found.items():
        expected = alive[tgid]
        parent = int(str(expected["parent"]))
        assert seen.image.name == expected["name"]
        assert seen.parent == (parent, ticks.get(parent, 0))
        assert seen.inside == (not cgroup or expected["cgroup"] in ("/a", "/a/b"))
        assert seen.inside or seen.image.args == b""


def test_a_live_proc_under_storm() -> None:
    """While processes come and go, the real /proc is read to its end, again and again."""
    storm = ["sh", "-c", "for i in 1 2 3 4; do (while :; do /bin/true; done) & done; wait"]
    with subprocess.Popen(storm, start_new_session=True) as process:
        try:
            for _ in range(30):
                keys = [seen.process.key[0] for seen in procfs.Look()]
                assert len(keys) == len(set(keys))
                assert process.pid in keys
        finally:
            subprocess.run(["pkill", "-KILL", "-s", str(process.pid)], check=False)
