"""What a soak has shown, as rows for docs/service.md."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.soak.growth import BLOCKS_MAX_MORE, RESIDENT_MAX_MORE_BYTES, Sample
from tests.soak.load import STEADY_PER_SECOND, STORM_COMMANDS

if TYPE_CHECKING:
    from tests.soak.__main__ import Soak

_MIB = 1 << 20


def table(soak: Soak, minutes: float) -> str:
    """All of it."""
    thirds = soak.growth.thirds()
    fds = [sample.fds for third in thirds[1:] for sample in third]
    slope = soak.growth.slope_bytes_per_minute()
    ends = ", ".join(f"{count} {how}" for how, count in soak.ended.items()) or "none"
    rows = {
        "minutes": f"{minutes:g}",
        "load": f"{STEADY_PER_SECOND} commands a second, and {soak.load.storms} storms of"
        f" {STORM_COMMANDS:,} as fast as they go",
        "scrapes and questions answered": f"{soak.answers:,}",
        "the one process lived": f"{soak.growth.samples[-1].seconds / 60:.1f} minutes",
        "blocks that its objects take, in thirds of that": "; ".join(map(_blocks, thirds)),
        "their floor, from the middle third to the last": f"{soak.growth.blocks_more():+,};"
        f" more than {BLOCKS_MAX_MORE:+,} is growth",
        "its resident memory": "; ".join(map(_resident, thirds)) + " MiB",
        "its floor, likewise": f"{soak.growth.resident_bytes_more() / 1024:+,.0f} KiB;"
        f" more than {RESIDENT_MAX_MORE_BYTES / 1024:+,.0f} is growth",
        "slope of both, by least squares": f"{slope / 1024:+.1f} KiB a minute",
        "its file descriptors": f"{min(fds)} to {max(fds)}",
        "then ended": ends,
        "events made": _counts(soak.made),
        "events told, each once": _counts(soak.account.told),
        "told again after a kill": f"{soak.account.repeated:,}",
        "imbalance at each end": ", ".join(map(str, soak.account.imbalances)),
        "result": "good" if soak.is_good() else "BAD",
    }
    return "\n".join(f"| {name} | {value} |" for name, value in rows.items())


def _blocks(third: list[Sample]) -> str:
    blocks = [sample.blocks for sample in third]
    return f"{min(blocks):,} to {max(blocks):,}"


def _resident(third: list[Sample]) -> str:
    resident = [sample.resident_bytes for sample in third]
    return f"{min(resident) / _MIB:.2f} to {max(resident) / _MIB:.2f}"


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {action}" for action, count in sorted(counts.items()))
