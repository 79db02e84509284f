"""Plays all scenes in a process of its own, which is in namespaces of its own."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass

from tests.shown.scenes import all_scenes
from tests.shown.stage import enter, stage
from tests.shown.typed import Ran, all_typed


@dataclass(frozen=True, slots=True)
class Played:
    """What came of it."""

    shown: dict[str, str]
    """Blocks by name."""
    ran: list[Ran]
    """The commands of the pages."""


def played() -> Played:
    """Play. Needs root and BPF."""
    result = json.loads(enter("tests.shown.play"))
    return Played(result["shown"], [Ran(**one) for one in result["ran"]])


def main() -> None:
    """Inside."""
    with stage() as ours:
        result = Played(all_scenes(ours), all_typed(ours))
    json.dump(asdict(result), sys.stdout)


if __name__ == "__main__":
    main()
