"""The file a simulated chip lives in between sessions, since PCM is non-volatile: cells, clock, counters.

A ZIP archive of plain .npy arrays and one JSON member, readable by ``numpy.load``. It is written whole
under another name, synced and renamed, so that a crash leaves the chip as it was last saved; while a
program has the chip open, a lock file beside it keeps every other program out.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from drivers.errors import DriverError
from drivers.simulated.chip import SimulatedChip
from drivers.simulated.layout import CellArrays

__all__ = ["InMemory", "StateFileError", "open_chip"]

SCHEMA = "labkit-chip-state/2"
_HEADER = "chip.json"
_CELLS, _BOARD, _HEAT = "cells/", "board/", "heat"
_CHUNK = 1 << 24
_BROKEN = (OSError, KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error)


class StateFileError(DriverError):
    """The state file of a simulated chip cannot be used.

    Attributes
    ----------
    path : Path
        The file.
    """

    def __init__(self, message: str, path: Path) -> None:
        super().__init__(message)
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (str(self), self.path))


class InMemory:
    """A chip that is gone when the program ends.

    Attributes
    ----------
    chip : SimulatedChip
    board : dict
        The board's non-volatile facts.
    arrays : dict of str to ndarray
        The board's non-volatile arrays.
    """

    def __init__(self, chip: SimulatedChip) -> None:
        self.chip = chip
        self.board: dict[str, Any] = {}
        self.arrays: dict[str, NDArray[Any]] = {}

    def save(self) -> None:
        """Do nothing: there is no file."""

    def close(self) -> None:
        """Let go of nothing."""


class _InFile(InMemory):
    """A chip with a file, locked while it is open."""

    def __init__(self, path: Path, lock: Any, identity: Mapping[str, Any], chip: SimulatedChip) -> None:
        super().__init__(chip)
        self._path, self._lock, self._identity = path, lock, dict(identity)

    def save(self) -> None:
        """Write the chip and the board's facts, whole or not at all."""
        header = {"schema": SCHEMA, "made_as": self._identity, "seed": self.chip.seed, "board": self.board}
        arrays = {f"{_CELLS}{name}": array for name, array in self.chip.arrays.items().items()}
        arrays[_HEAT] = self.chip.past_heat(int(self.board.get("absolute_ns", 0)))
        arrays |= {f"{_BOARD}{name}": array for name, array in self.arrays.items()}
        try:
            _write(self._path, header, arrays)
        except OSError as error:
            raise StateFileError(
                f"the chip could not be saved to {self._path} ({error.strerror or error}); the file still "
                "holds the chip as it was last saved: make room and try again",
                self._path,
            ) from error

    def close(self) -> None:
        """Write, and let others open it."""
        try:
            self.save()
        finally:
            self._lock.release()


def open_chip(
    path: Path,
    identity: Mapping[str, Any],
    make: Callable[[], SimulatedChip],
    restore: Callable[[CellArrays, int, NDArray[np.int64]], SimulatedChip],
) -> InMemory:
    """Open the chip in a file, or make a new one where there is no file yet.

    Parameters
    ----------
    path : Path
        The state file.
    identity : mapping
        What the chip was made as (card, geometry, seed); a file made as something else is refused.
    make, restore : callable
        Make the new chip; make the chip of a seed around the memory it had, and the heat it remembers.

    Raises
    ------
    StateFileError
        Another program has it open, it holds another chip, or it cannot be read or written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(f"{path}.lock", thread_local=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise StateFileError(
            f"the simulated chip in {path} is open in another program; close that one, or name another state "
            "file in the bench file",
            path,
        ) from None
    except OSError as error:
        raise StateFileError(f"{path} cannot be used: {error.strerror or error}", path) from error
    try:
        if path.exists():
            return _load(path, lock, identity, restore)
        state = _InFile(path, lock, identity, make())
        state.save()
    except BaseException:
        lock.release()
        raise
    return state


def _load(
    path: Path,
    lock: Any,
    identity: Mapping[str, Any],
    restore: Callable[[CellArrays, int, NDArray[np.int64]], SimulatedChip],
) -> InMemory:
    try:
        with zipfile.ZipFile(path) as archive:
            header = json.loads(archive.read(_HEADER))
            schema, made_as, seed = header["schema"], header["made_as"], int(header["seed"])
            names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
            if schema == SCHEMA and made_as == identity:
                arrays = {name: _read_array(archive, name) for name in names}
                cells = {name.removeprefix(_CELLS): array for name, array in arrays.items() if _CELLS in name}
                chip = restore(CellArrays(**cells), seed, arrays[_HEAT])
                state = _InFile(path, lock, identity, chip)
                state.board = dict(header["board"])
    except _BROKEN as error:
        raise StateFileError(
            f"{path} is no whole state file ({error}); move it away, and a new chip will be made", path
        ) from error
    if schema != SCHEMA:
        raise StateFileError(
            f"{path} was written as {schema}, this labkit reads {SCHEMA}: install the labkit that wrote "
            "it, or name another state file",
            path,
        )
    if made_as != identity:
        other = {key: made_as.get(key) for key, value in identity.items() if made_as.get(key) != value}
        said = ", ".join(
            f"{key} {value} (the bench file says {identity[key]})" for key, value in other.items()
        )
        raise StateFileError(
            f"{path} holds another chip: {said}; name another state file in the bench file, or move this one "
            "away",
            path,
        )
    state.arrays = {
        name.removeprefix(_BOARD): array for name, array in arrays.items() if name.startswith(_BOARD)
    }
    return state


def _read_array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    # Through the member's end, because only there zipfile compares the checksum.
    content = io.BytesIO(archive.read(f"{name}.npy"))
    array: NDArray[Any] = np.lib.format.read_array(content, allow_pickle=False)
    return array


def _write(path: Path, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    temporary = path.with_name(f".{path.name}.part")  # ours alone: the lock is held
    try:
        with temporary.open("wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                archive.writestr(_HEADER, json.dumps(header, indent=2, allow_nan=False))
                for name, array in arrays.items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                        _write_array(member, array)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _write_array(member: IO[bytes], array: NDArray[Any]) -> None:
    facts = np.lib.format.header_data_from_array_1_0(array)
    np.lib.format.write_array_header_1_0(member, facts)
    content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    for start in range(0, len(content), _CHUNK):
        member.write(content[start : start + _CHUNK].data)
