"""Shared libraries that agentd loads: whether each works, and how to get it if it does not."""

from __future__ import annotations

import ctypes
import functools
import os
import re
from collections.abc import Sequence

from agentd.errors import UnavailableError

_LIBBPF = "libbpf.so.1"
_LIBBPF_FUNCTIONS = (
    "btf__load_vmlinux_btf",
    "btf__find_by_name_kind",
    "btf__type_by_id",
    "btf__name_by_offset",
    "libbpf_probe_bpf_helper",
    "libbpf_set_print",
)
_DEBIAN_PACKAGES = {"libbcc.so.0": "libbpfcc", _LIBBPF: "libbpf1"}
_VARIABLES = ("LD_LIBRARY_PATH", "LD_PRELOAD")
"""They make ld.so(8) take other files."""
_NAME = re.compile(r"\blib[\w+-]+\.so[.\d]*")


@functools.cache
def libbpf() -> ctypes.CDLL:
    """The library, with all functions that agentd calls. Raises UnavailableError."""
    library = load(_LIBBPF, _LIBBPF_FUNCTIONS)
    library.libbpf_set_print(None)  # what it cannot do is reported as an error, once
    return library


def load(name: str, functions: Sequence[str]) -> ctypes.CDLL:
    """Load a library that must have these functions. Raises UnavailableError."""
    try:
        library = ctypes.CDLL(name, use_errno=True)
        for function in functions:
            getattr(library, function)
    except (OSError, AttributeError) as error:
        raise _unusable(name, str(error)) from None
    return library


def broken_library(text: str) -> UnavailableError | None:
    """Explain an error of ld.so or ctypes; None if the text names no shared library."""
    found = _NAME.search(text)
    return _unusable(found[0], text) if found else None


def _unusable(name: str, text: str) -> UnavailableError:
    changed = [f"{key}={os.environ[key]}" for key in _VARIABLES if os.environ.get(key)]
    ways_out = [f"unset {key}" for key in changed]
    if name in _DEBIAN_PACKAGES:
        ways_out.append(f"apt-get install --reinstall {_DEBIAN_PACKAGES[name]}")
    hint = "; or ".join(ways_out) or f"install {name} again"
    return UnavailableError(f"the library {name} cannot be used: {text}", hint)
