"""agentd.core.wire.header"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from agentd.core.wire.header import WireError, parse_wire, static_assertions
from agentd.paths import bpf_dir
from tests.programs import compile_c
from tests.records import WIRE

TYPEDEFS = "typedef unsigned int __u32; typedef unsigned long long __u64;\n"


def test_the_compiler_agrees(tmp_path: Path) -> None:
    """gcc lays out bpf/agentd.h as the reader understood it, member by member."""
    source = TYPEDEFS + f'#include "{bpf_dir()}/agentd.h"\n' + static_assertions(WIRE)
    program = compile_c(tmp_path, "layout", source + "int main(void) { return 0; }\n")
    assert subprocess.run([program], check=False).returncode == 0


def test_a_difference_does_not_compile(tmp_path: Path) -> None:
    """A header that changed behind the reader's back fails to compile."""
    changed = (bpf_dir() / "agentd.h").read_text().replace("__u32 cpu;", "__u64 cpu;")
    source = TYPEDEFS + changed + static_assertions(WIRE) + "int main(void) { return 0; }\n"
    with pytest.raises(subprocess.CalledProcessError):
        compile_c(tmp_path, "layout", source)


def test_members_arrays_and_nesting() -> None:
    """Nested structs are flattened, arrays of numbers are one member each, text is one."""
    wire = parse_wire(
        "#define N 2\nstruct a { __u32 x; __u32 y; /* c */ };\n"
        "struct b { struct a head; __u64 n[N]; char s[8]; };"
    )
    layout = wire.layout("b")
    assert layout.names == ("x", "y", "n_0", "n_1", "s")
    assert [m.offset for m in layout.members] == [0, 4, 8, 16, 24]
    assert (layout.size, layout.format) == (32, "=IIQQ8s")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("struct a { __u32 x; __u64 y; };", "padding"),
        ("struct a { __u32 x; };", "multiple of 8"),
        ("struct a { };", "multiple of 8"),
        ("struct a { __u16 x; };", "type of 'x'"),
        ("struct a { __u64 *x; };", "cannot read the member"),
        ("struct a { struct b x; };", "must be known"),
        ("struct a { __u64 x[UNKNOWN]; };", "type of 'x'"),
    ],
)
def test_anything_else_is_an_error(text: str, complaint: str) -> None:
    """What the reader does not know is an error, never a guess."""
    with pytest.raises(WireError, match=complaint):
        parse_wire(text)


def test_missing_names_are_errors() -> None:
    """Asking for what the header lacks names it."""
    with pytest.raises(WireError, match="no struct nope"):
        WIRE.layout("nope")
    with pytest.raises(WireError, match="no number NOPE"):
        WIRE.constant("NOPE")
