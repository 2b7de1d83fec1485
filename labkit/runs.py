"""Runs: one directory per job at the bench, crash-safe and readable without this package.

::

    runs/20260101T000000Z-program/
        manifest.json              what was asked for, with what, and how it ended
        cells.parquet              tables: Parquet, written once, never changed
        reads/0000.parquet
        report.html                written by labkit.report

Tables hold what the converter gave: float32 in SI units; no pickle, no code in data files.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.durable import explained, make_folders, sync_directory, unused_name
from labkit.errors import RunError, RunExists
from labkit.manifest import FILE, SCHEMA, plain, read_manifest, versions, write_manifest
from labkit.run_tables import read_table, write_table

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["SCHEMA", "Run"]

_FIXED = frozenset({"schema", "kind", "created_unix_ns", "created_utc", "versions"})
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")


class Run:
    """A run directory: its manifest and its tables.

    Made by :meth:`create` or :meth:`open`, never directly.

    Attributes
    ----------
    path : Path
        The directory.
    manifest : dict
        The manifest as last read or written; change it through :meth:`update_manifest`.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest

    def __repr__(self) -> str:
        return f"<Run {self.path} ({self.manifest['kind']}, {self.manifest.get('status')})>"

    # ------------------------------------------------------------------ making and opening

    @classmethod
    def create(
        cls,
        path: str | PurePath | None,
        *,
        kind: str,
        settings: Mapping[str, Any],
        card: Mapping[str, Any],
        station: Mapping[str, Any],
        seeds: Mapping[str, Any],
        inputs: Mapping[str, Any],
        created_unix_ns: int,
    ) -> Run:
        """Make a new run directory, whole or not at all.

        Parameters
        ----------
        path : path or None
            The directory to make; None chooses ``runs/<UTC stamp>-<kind>``, with ``-2``, ``-3`` ... behind it
            where that name is taken.
        kind : str
            What kind of job it is, e.g. ``"program"``.
        settings, card, station, seeds, inputs : mapping
            What the job was asked for and with what; anything JSON can hold, numpy values and paths included.
        created_unix_ns : int
            Time of the station's clock, Unix nanoseconds.

        Raises
        ------
        RunExists
            `path` is taken; nothing in it was touched.
        DiskFull, RunError
            The directory could not be written; nothing is left of it.
        """
        moment = datetime.fromtimestamp(created_unix_ns // 1_000_000_000, UTC)
        manifest: dict[str, Any] = plain(
            {
                "schema": SCHEMA,
                "kind": kind,
                "status": "running",
                "created_unix_ns": int(created_unix_ns),
                "created_utc": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
                "versions": versions(),
                "settings": settings,
                "station": station,
                "seeds": seeds,
                "inputs": inputs,
                "figures": {},
                "card": card,
            }
        )
        if path is not None:
            return cls._place(Path(path), manifest)
        stem = f"{moment:%Y%m%dT%H%M%SZ}-{re.sub(r'[^A-Za-z0-9_.]+', '-', kind)}"
        count = 1
        while True:
            try:
                return cls._place(Path("runs") / (stem if count == 1 else f"{stem}-{count}"), manifest)
            except RunExists:
                count += 1

    @classmethod
    def _place(cls, path: Path, manifest: dict[str, Any]) -> Run:
        path = path.absolute()
        taken = RunExists(f"{path} exists and is never overwritten; choose another name")
        if path.exists() or path.is_symlink():
            raise taken
        with explained(path):
            make_folders(path.parent)
            temporary = unused_name(path)
            temporary.mkdir()
        try:
            write_manifest(temporary, manifest)
            with explained(path):
                try:
                    temporary.rename(path)
                except OSError:
                    if path.exists():  # it appeared meanwhile: renaming never replaces a directory with files
                        raise taken from None
                    raise
                sync_directory(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return cls(path, manifest)

    @classmethod
    def open(cls, path: str | PurePath) -> Run:
        """Open an existing run.

        Raises
        ------
        RunUnreadable
            There is no run at `path`, or its manifest cannot be read.
        RunNewer
            A later version of labkit wrote it.
        """
        folder = Path(path).absolute()
        if folder.name == FILE:
            folder = folder.parent
        return cls(folder, read_manifest(folder))

    # ------------------------------------------------------------------ manifest

    def update_manifest(self, **fields: Any) -> None:
        """Set top-level fields of the manifest, atomically; fields another process wrote meanwhile are kept.

        Raises
        ------
        RunError
            A field says what the run is (schema, kind, creation, versions) and never changes.
        DiskFull
            No room; the manifest is as it was.
        """
        if fixed := sorted(_FIXED & fields.keys()):
            raise RunError(f"the manifest field {', '.join(fixed)} of a run never changes")
        manifest = {**read_manifest(self.path), **plain(fields)}
        write_manifest(self.path, manifest)
        self.manifest = manifest

    def finish(self, status: str, **figures: Any) -> None:
        """Record how the run ended and its key figures (added to those already there)."""
        self.update_manifest(status=status, figures={**self.manifest.get("figures", {}), **figures})

    def add_read(
        self,
        *,
        g_s: NDArray[Any],
        flags: NDArray[Any],
        t_ns: NDArray[Any],
        age_s: NDArray[Any],
        nominal_age_s: float,
        label: str,
        setup: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
    ) -> str:
        """Store a read-back of all cells as the next ``reads/NNNN`` and list it in the manifest.

        Parameters
        ----------
        g_s, flags, t_ns, age_s : ndarray, shape (cells,)
            Conductance (S, NaN where a flag says why), flags of the chip interface, board time of each
            reading (ns) and age of each cell at its reading (s), in the order of the ``cells`` table.
        nominal_age_s : float
            The age that was asked for, seconds.
        label : str
            The age in words, e.g. ``"1 h"``.
        setup : mapping
            How the cells were read.

        Returns
        -------
        str
            The table's name.
        """
        taken = [int(name[6:]) for name in self.tables() if re.fullmatch(r"reads/\d+", name)]
        name = f"reads/{max(taken, default=-1) + 1:04d}"
        columns = {
            "g_s": np.asarray(g_s, np.float32),
            "flags": np.asarray(flags, np.uint8),
            "t_ns": np.asarray(t_ns, np.uint64),
            "age_s": np.asarray(age_s, np.float32),
        }
        self.write_table(name, columns, metadata=metadata)
        entry = {"table": name, "nominal_age_s": nominal_age_s, "label": label, "setup": setup}
        self.update_manifest(reads=[*self.manifest.get("reads", []), entry])
        return name

    # ------------------------------------------------------------------ tables

    def write_table(
        self,
        name: str,
        columns: Mapping[str, Any] | pd.DataFrame,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Write a table; it is on the disk when this returns, and is never written again.

        Parameters
        ----------
        name : str
            File name without ending; ``/`` makes folders, e.g. ``"reads/0000"``.
        columns : mapping of ndarray, or DataFrame
            Columns of equal length; a DataFrame's index is not stored.
        metadata : mapping, optional
            Facts about the table (LSB of the converter, read voltage ...), kept as JSON in the file.

        Raises
        ------
        RunExists
            The run already has this table.
        DiskFull, RunError
            It could not be written; no part of it is left.
        ValueError
            Columns of different lengths, or a name that is no plain file name.
        """
        write_table(self._table_path(name), columns, metadata)

    def table(self, name: str) -> pd.DataFrame:
        """Read a table; its metadata is in ``.attrs``.

        Raises
        ------
        RunError
            The run has no such table.
        RunUnreadable
            The file is damaged.
        """
        path = self._table_path(name)
        if not path.is_file():
            raise RunError(f"{self.path} has no table {name!r}; it has: {', '.join(self.tables()) or 'none'}")
        return read_table(path)

    def tables(self) -> list[str]:
        """Names of the tables, sorted."""
        files = (path.relative_to(self.path).with_suffix("") for path in self.path.rglob("*.parquet"))
        return sorted(file.as_posix() for file in files if _NAME.fullmatch(file.as_posix()))

    def _table_path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no table name: use letters, digits, '_', '-', '.' and '/'")
        return self.path / f"{name}.parquet"
