"""Compilation of the hot kernels, with a cache that cannot go stale.

numba notices an edit of the file that holds a cached function, not of the files whose functions it inlines
(libraries-and-speed §3.9). The cache therefore lives in a folder named after a digest of every kernel source;
an edit anywhere starts a new folder.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numba

__all__ = ["inline", "kernel", "subroutine"]

_SOURCES = (
    "cell_model.py",
    "conditions.py",
    "converter_kernel.py",
    "crystallisation_kernel.py",
    "current_kernel.py",
    "death_kernel.py",
    "device_kernel.py",
    "grouping.py",
    "heat.py",
    "jit.py",
    "layout.py",
    "lines_kernel.py",
    "multiply_kernel.py",
    "noise_kernel.py",
    "place_kernel.py",
    "pulse_kernel.py",
    "random_numbers.py",
    "read_buffer.py",
    "read_kernel.py",
    "switch_kernel.py",
    "target_kernel.py",
    "telegraph_kernel.py",
    "world/circuit_kernel.py",
    "world/defaults.py",
    "world/transient_kernel.py",
)

Function = Callable[..., Any]
"""Kernels have no types: numba infers them, and mypy has no names for theirs."""


def _cache_folder() -> str:
    digest = hashlib.sha256(numba.__version__.encode())
    here = Path(__file__).parent
    for name in _SOURCES:
        source = here / name
        digest.update(source.read_bytes() if source.exists() else b"")
    laws = here.parent.parent / "calibration" / "laws" / "accumulation.py"
    digest.update(laws.read_bytes() if laws.exists() else b"")
    roots = [
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"),
        Path(tempfile.gettempdir()) / f"labkit-{os.getuid()}",
    ]
    for root in roots:
        folder = root / "labkit" / f"kernels-{digest.hexdigest()[:16]}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return str(folder)
    return ""


_CACHE = _cache_folder()


def inline(function: Function) -> Function:
    """Compile a helper that is always inlined into the kernels that use it (strict floating point)."""
    return cast(Function, numba.njit(fastmath=False, forceinline=True, error_model="numpy")(function))


def subroutine(function: Function) -> Function:
    """Compile a loop over lanes that kernels call: strict floating point, compiled with its callers."""
    return cast(Function, numba.njit(fastmath=False, error_model="numpy")(function))


def kernel(function: Function) -> Function:
    """Compile a kernel: strict floating point, no GIL, cached on disk where a folder can be written."""
    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = _CACHE or before
    try:
        compiled = numba.njit(fastmath=False, nogil=True, cache=bool(_CACHE), error_model="numpy")(function)
    finally:
        config.CACHE_DIR = before
    return cast(Function, compiled)
