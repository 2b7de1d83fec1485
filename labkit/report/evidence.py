"""What a run can testify: its tables as arrays, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labkit.errors import RunError

if TYPE_CHECKING:
    import pandas as pd

    from labkit.runs import Run

__all__ = ["Cells", "Evidence", "ReadBack", "gather"]

_UNUSABLE = 1 | 4 | 8
"""Clipped high, masked, not read (drivers.chip.ReadFlag); clipped-low readings are finite and count."""
_PROBE = {"traces", "current_voltage", "staircase"}


@dataclass(frozen=True, eq=False)
class Cells:
    """The programmed part of the ``cells`` table; all arrays have shape (n,)."""

    index: NDArray[np.uint32]
    target_s: NDArray[np.float32]
    pulses: NDArray[np.uint32]
    converged: NDArray[np.bool_]

    def __len__(self) -> int:
        return self.index.size

    @property
    def zero(self) -> NDArray[np.bool_]:
        """Cells whose target is no conductance at all."""
        return np.equal(self.target_s, 0.0)


@dataclass(frozen=True, eq=False)
class ReadBack:
    """One read of the programmed cells; arrays in the order of :class:`Cells`, NaN where unusable."""

    table: str
    label: str
    g_s: NDArray[np.float32]
    age_s: NDArray[np.float32]

    @property
    def median_age_s(self) -> float:
        """Median age of the cells at their reading, seconds."""
        return float(np.nanmedian(self.age_s)) if self.age_s.size else float("nan")


@dataclass(eq=False)
class Evidence:
    """Everything the figures draw from.

    Attributes
    ----------
    probe : dict of str to DataFrame
        What a probe station measured besides: ``traces``, ``current_voltage``, ``staircase``, as far as they are there.
    gaps : list of str
        One sentence for each thing the run does not have.
    """

    manifest: dict[str, Any]
    cells: Cells | None = None
    passes: pd.DataFrame | None = None
    reads: list[ReadBack] = field(default_factory=list)
    accuracy: pd.DataFrame | None = None
    probe: dict[str, pd.DataFrame] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)

    def section(self, name: str) -> dict[str, Any]:
        """Return a part of the manifest, empty where the run has none."""
        value = self.manifest.get(name)
        return value if isinstance(value, dict) else {}

    @property
    def g_max_s(self) -> float:
        """Full scale of the weight map, siemens: the setting, else the largest target."""
        setting = self.section("settings").get("g_max_s")
        if isinstance(setting, int | float) and setting > 0:
            return float(setting)
        largest = float(self.cells.target_s.max(initial=0.0)) if self.cells is not None else 0.0
        return largest if largest > 0.0 else 25e-6


def gather(run: Run) -> Evidence:
    """Load what a run has; a table that is missing or damaged becomes a sentence in ``gaps``."""
    evidence = Evidence(run.manifest)
    names = run.tables()
    frame = _load(run, "cells", names, evidence, "no table of cells")
    keep: NDArray[np.bool_] | None = None
    if frame is not None:
        keep = _column(frame, "programmed", np.bool_, True)
        evidence.cells = Cells(
            index=_column(frame, "cell", np.uint32, 0)[keep],
            target_s=_column(frame, "target_s", np.float32, np.nan)[keep],
            pulses=_column(frame, "pulses", np.uint32, 0)[keep],
            converged=_column(frame, "converged", np.bool_, False)[keep],
        )
        if not len(evidence.cells):
            evidence.gaps.append("No cell was programmed.")
            evidence.cells = None
    evidence.passes = _load(run, "passes", names, evidence, "no record of the passes")
    if evidence.passes is not None and evidence.passes.empty:
        evidence.gaps.append("The record of the passes is empty.")
        evidence.passes = None
    if keep is not None:
        _gather_reads(run, names, keep, evidence)
    evidence.accuracy = _gather_accuracy(run, names, evidence)
    for name in _PROBE & set(names):
        found = _load(run, name, names, evidence, "")
        if found is not None and not found.empty:
            evidence.probe[name] = found
    return evidence


def _gather_accuracy(run: Run, names: list[str], evidence: Evidence) -> pd.DataFrame | None:
    """Join what the run itself judged (``accuracy``) and what later reads added (``accuracy/NNNN``)."""
    tables = [name for name in names if name == "accuracy" or name.startswith("accuracy/")]
    frames = [frame for name in tables if (frame := _load(run, name, names, evidence, "")) is not None]
    if not frames:
        return None
    import pandas as pd

    return pd.concat(frames, ignore_index=True)


def _gather_reads(run: Run, names: list[str], keep: NDArray[np.bool_], evidence: Evidence) -> None:
    listed = [entry for entry in run.manifest.get("reads", []) if isinstance(entry, dict)]
    labels = {str(entry.get("table")): str(entry.get("label", "")) for entry in listed}
    tables = [name for name in names if name.startswith("reads/")]
    if not tables:
        evidence.gaps.append(
            "The cells were never read again after programming, so nothing here judges them independently."
        )
    for name in tables:
        frame = _load(run, name, names, evidence, "")
        if frame is None:
            continue
        if len(frame) != keep.size:
            evidence.gaps.append(
                f"Table {name} has {len(frame):,} rows for {keep.size:,} cells and was left out."
            )
            continue
        g_s = _column(frame, "g_s", np.float32, np.nan)[keep]
        bad = (_column(frame, "flags", np.uint8, 0)[keep] & _UNUSABLE) != 0
        age_s = _column(frame, "age_s", np.float32, np.nan)[keep]
        read = ReadBack(name, labels.get(name) or name, np.where(bad, np.float32(np.nan), g_s), age_s)
        if np.isfinite(read.g_s).any() and np.isfinite(read.age_s).any():
            evidence.reads.append(read)
        else:
            evidence.gaps.append(f"Table {name} has no usable reading.")
    evidence.reads.sort(key=lambda read: read.median_age_s)


def _load(run: Run, name: str, names: list[str], evidence: Evidence, absent: str) -> pd.DataFrame | None:
    if name not in names:
        evidence.gaps.append(f"The run has {absent}.")
        return None
    try:
        return run.table(name)
    except RunError as error:
        evidence.gaps.append(f"Table {name} is damaged and was left out ({error}).")
        return None


def _column(frame: pd.DataFrame, name: str, dtype: Any, default: Any) -> NDArray[Any]:
    if name not in frame:
        return np.full(len(frame), default, dtype)
    return frame[name].to_numpy().astype(dtype, copy=False)
