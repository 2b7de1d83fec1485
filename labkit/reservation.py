"""Reservation of a bench: one process at a time, and whoever comes second is told who has it and since when.

What is reserved is the bench file and, for instruments that are not simulated, each VISA address, so that two bench
files that name the same instrument do not collide. The locks are those of the operating system: they end with the
process, however it ends. They hold for one computer; a controller board keeps other computers out by itself
(``LockRefused``).
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import socket
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.errors import BenchReserved

if TYPE_CHECKING:
    from drivers.bench import BenchFile

__all__ = ["Reservation", "reserve"]

_guard = threading.Lock()
_mine: dict[str, tuple[Any, int]] = {}
"""Locks this process holds, and how often."""


@dataclass
class Reservation:
    """A bench that is reserved until :meth:`release`; made by :func:`reserve`."""

    _names: list[str]
    _process: int = field(default_factory=os.getpid)

    def release(self) -> None:
        """Let others have it; again does nothing, and nothing in a forked child, whose parent has it."""
        names, self._names = self._names, []
        if self._process != os.getpid():
            return
        with _guard:
            for name in names:
                _let_go(name)


def reserve(bench: BenchFile) -> Reservation:
    """Reserve a bench for this process; a process may do so several times.

    Raises
    ------
    BenchReserved
        Another process has it, or one of its instruments.
    """
    names = [f"bench {bench.path.resolve()}"]
    names += [
        f"instrument {entry.address.upper()}"
        for entry in bench.instruments.values()
        if entry.backend != "@pcm" and "::" in entry.address
    ]
    taken: list[str] = []
    with _guard:
        try:
            for name in sorted(set(names)):
                _take(name, bench)
                taken.append(name)
        except BaseException:
            for name in taken:
                _let_go(name)
            raise
    return Reservation(taken)


def _take(name: str, bench: BenchFile) -> None:
    if name in _mine and _mine[name][0].is_locked:
        lock, times = _mine[name]
        _mine[name] = (lock, times + 1)
        return
    from filelock import FileLock, Timeout

    path = _file(name)
    lock = FileLock(path, mode=0o666)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = _holder(path)
        raise BenchReserved(
            f"{name} is in use {_said(holder)}: wait for that, or end it; the reservation ends with it",
            path=bench.path,
            holder=holder,
        ) from None
    _mine[name] = (lock, 1)
    _holder_file(path).write_text(json.dumps({"what": name, **_myself()}), encoding="utf-8")


def _let_go(name: str) -> None:
    lock, times = _mine[name]
    if times > 1:
        _mine[name] = (lock, times - 1)
        return
    del _mine[name]
    with suppress(OSError):
        _holder_file(_file(name)).unlink()
    lock.release()


def _file(name: str) -> Path:
    folder = Path(tempfile.gettempdir()) / "labkit-reservations"
    folder.mkdir(exist_ok=True)
    with suppress(OSError):  # somebody else made it
        folder.chmod(0o1777)
    return folder / f"{hashlib.sha256(name.encode()).hexdigest()[:20]}.lock"


def _holder_file(path: Path) -> Path:
    return path.with_suffix(".json")


def _myself() -> dict[str, Any]:
    return {
        "user": getpass.getuser(),
        "host": socket.gethostname(),
        "process": os.getpid(),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])[:200],
        "since_utc": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _holder(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(_holder_file(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _said(holder: dict[str, Any]) -> str:
    if not holder:
        return "by another process"
    return (
        f"since {holder.get('since_utc')} by {holder.get('user')} on {holder.get('host')}, process "
        f"{holder.get('process')} ({holder.get('command')})"
    )
