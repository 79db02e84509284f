"""Modules that a library loads where it finds them, and does not need."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unloaded(name: str) -> Iterator[None]:
    """While the block runs, a module cannot be imported, unless it has been before."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
