"""Instruments behind a file: one object per file and process, whoever opens it and however often.

Two programs' worth of links (the in-process VISA library, the socket server, tests) that name the same file reach the
same boards. A bench lives as long as somebody holds it; then its chips are saved and let go.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from drivers.simulated.link import Port
    from drivers.simulated.registry import SimulatedInstrument, TwinPort

__all__ = ["SharedBench", "shared"]

_open: dict[Path, SharedBench] = {}
_guard = (
    threading.RLock()
)  # a manager that is collected while a file is read gives its bench back in this thread


class SharedBench:
    """Instruments behind one file, shared by whoever has it open.

    A context manager that gives it back.

    Attributes
    ----------
    path : Path
        Absolute path of the file.
    instruments : dict of str to SimulatedInstrument or TwinPort
        By VISA address, upper case.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.holders = 0
        self.instruments: dict[str, SimulatedInstrument | TwinPort] = {}

    def find(self, address: str) -> Port | None:
        """Return the instrument behind a VISA address, None where there is none."""
        return self.instruments.get(address.upper())

    def release(self) -> None:
        """Give the bench back; the last holder's release saves and closes every board."""
        with _guard:
            self.holders -= 1
            if self.holders > 0:
                return
            if _open.get(self.path) is self:
                del _open[self.path]
            self._close()

    def _close(self) -> None:
        for instrument in self.instruments.values():
            instrument.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()


def shared(path: str | Path, make: Callable[[Path], SharedBench]) -> SharedBench:
    """Open what is behind a file, or join whoever has it open."""
    absolute = Path(path).expanduser().resolve()
    with _guard:
        bench = _open.get(absolute)
        if bench is None:
            bench = _open[absolute] = make(absolute)
        bench.holders += 1
        return bench


@atexit.register
def _close_all() -> None:
    """Save what a program left open at its end."""
    with _guard:
        benches = list(_open.values())
        _open.clear()
    for bench in benches:
        bench._close()
