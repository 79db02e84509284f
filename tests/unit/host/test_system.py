"""agentd/host/system.py: CPUs and the boot."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentd.host import system


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("0\n", [0]),
        ("0-3\n", [0, 1, 2, 3]),
        ("0-1,8-10", [0, 1, 8, 9, 10]),
        ("0,5", [0, 5]),
        ("0,2-127", [0, *range(2, 128)]),
    ],
)
def test_cpus(tmp_path: Path, text: str, cpus: list[int]) -> None:
    """Any form of the kernel's list is read; of the possible ones the highest number counts."""
    file = tmp_path / "cpus"
    file.write_text(text)
    assert system.online_cpus(str(file)) == cpus
    assert system.possible_cpus(str(file)) == max(cpus) + 1


@pytest.mark.parametrize("text", ["", "\n", "x", "0-", "0,"])
def test_a_list_of_cpus_that_is_none(text: str) -> None:
    """Other text is a ValueError."""
    with pytest.raises(ValueError, match="int"):
        system.parse_cpus(text)


def test_boot_id_has_32_digits(tmp_path: Path) -> None:
    """The boot id is hexadecimal without dashes."""
    file = tmp_path / "boot_id"
    file.write_text("01234567-89ab-cdef-0123-456789abcdef\n")
    assert system.boot_id(str(file)) == "0123456789abcdef0123456789abcdef"
    assert len(system.boot_id()) == 32
