"""Numbers as people write them: ASCII digits, and nothing else that ``int`` and ``float`` take.

Those read ``1_0``, digits of other scripts, exponents and ``nan``, and fail on thousands of digits.
"""

from __future__ import annotations

import re

_WHOLE = re.compile(r"[0-9]{1,20}")
_DECIMAL = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?|\.[0-9]{1,20}")


def whole(text: str) -> int | None:
    """A number without sign and fraction; None if it is not that."""
    return int(text) if _WHOLE.fullmatch(text) else None


def decimal(text: str) -> float | None:
    """A number without sign, perhaps with a fraction; None if it is not that."""
    return float(text) if _DECIMAL.fullmatch(text) else None
