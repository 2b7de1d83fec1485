"""The calibration of a chip's read path: gain and offset of every column, as they were measured.

A column reads ``I_read = gain I + offset``. ``labkit calibrate reads`` measures both against resistors of known
value; :class:`~drivers.calibrated_reads.CalibratedChip` takes them out of every reading. The file is plain JSON.

The intervals hold 95 % and add up, in variance: the tolerance of each reference cell, whose own value nobody
knows better than its nominal one; the noise of the readings; and what of the converter's steps the noise did
not average out.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.errors import ReadCalibrationError

if TYPE_CHECKING:
    from drivers.chip import Geometry, Identity

__all__ = ["SCHEMA", "ReadCalibration"]

SCHEMA = "labkit-read-calibration/1"
"""Format of the file; readers refuse a higher number."""

_CLOCK_SKEW_S = 3600.0
"""So much later than now may a calibration be dated before that is strange: hosts' clocks differ."""


@dataclass(frozen=True, eq=False)
class ReadCalibration:
    """Gain and offset of every column of one chip.

    Attributes
    ----------
    maker, model, serial : str
        The chip it was measured on.
    gain : ndarray of float64, shape (cols,)
        Reading over current; 1 where the column is uncalibrated.
    gain_half_width : ndarray of float64, shape (cols,)
        Half of the 95 % interval of the gain; NaN where uncalibrated.
    offset_a : ndarray of float64, shape (cols,)
        What a column reads without current, ampere; 0 where uncalibrated.
    offset_half_width_a : ndarray of float64, shape (cols,)
        Half of its 95 % interval, ampere; NaN where uncalibrated.
    covariance_a : ndarray of float64, shape (cols,)
        Covariance of the errors of gain and offset, ampere; below 0, since the line turns about the references.
    uncalibrated : dict of int to str
        Columns left as they read, and why.
    measured_unix_ns : int
        When, by the station's clock.
    temperature_k : float or None
        Of the chip meanwhile, kelvin; None where it has no sensor.
    read_voltage_v, range_a, aperture_s : float
        How the references were read.
    samples, repeats : int
        Conversions averaged in a reading, and readings of each reference cell.
    references : dict of int to float
        Row -> nominal conductance of its cells, siemens.
    tolerance : float
        Of those values, 95 %, as a fraction.
    lines_ohm : tuple of float, or None
        Series, bit-line and word-line resistance that were reckoned with (:class:`calibration.laws.array.Lines`).
    misfit : float or None
        Rms distance of the references from their columns' lines, in standard deviations: about 1. None where
        each column has two references only.
    """

    maker: str
    model: str
    serial: str
    gain: NDArray[np.float64]
    gain_half_width: NDArray[np.float64]
    offset_a: NDArray[np.float64]
    offset_half_width_a: NDArray[np.float64]
    covariance_a: NDArray[np.float64]
    uncalibrated: dict[int, str]
    measured_unix_ns: int
    temperature_k: float | None
    read_voltage_v: float
    range_a: float
    aperture_s: float
    samples: int
    repeats: int
    references: dict[int, float]
    tolerance: float
    lines_ohm: tuple[float, float, float] | None = None
    misfit: float | None = None
    _sha256: str = field(default="", repr=False)

    @property
    def cols(self) -> int:
        """Number of columns."""
        return self.gain.size

    @property
    def measured_utc(self) -> str:
        """When it was measured, ISO 8601."""
        return f"{datetime.fromtimestamp(self.measured_unix_ns // 10**9, UTC):%Y-%m-%dT%H:%M:%SZ}"

    @property
    def sha256(self) -> str:
        """SHA-256 of the file, hexadecimal."""
        return self._sha256 or hashlib.sha256(self.to_bytes()).hexdigest()

    # ------------------------------------------------------------------ use

    def true_current_a(self, current_a: NDArray[Any], columns: NDArray[Any]) -> NDArray[Any]:
        """Return the currents behind readings, ``(I_read - offset) / gain``, ampere; NaN stays NaN.

        Parameters
        ----------
        current_a : ndarray, shape (n,)
            As read.
        columns : ndarray of int, shape (n,)
            Column of each.
        """
        corrected: NDArray[Any] = (current_a - self.offset_a[columns]) / self.gain[columns]
        return corrected

    def staleness(
        self,
        now_unix_ns: int,
        temperature_k: float | None,
        *,
        max_age_s: float,
        max_temperature_change_k: float,
    ) -> tuple[str, ...]:
        """Return why it should not be trusted any more; empty where nothing speaks against it.

        Parameters
        ----------
        now_unix_ns : int
            Unix time, ns.
        temperature_k : float or None
            Of the chip now, kelvin; without it, or without that of the calibration, nothing is said of it.
        max_age_s, max_temperature_change_k : float
            What is allowed, seconds and kelvin.
        """
        reasons = []
        age_s = 1e-9 * (now_unix_ns - self.measured_unix_ns)
        if age_s > max_age_s:
            reasons.append(f"it is {_in_words(age_s)} old, and {_in_words(max_age_s)} are allowed")
        elif age_s < -_CLOCK_SKEW_S:
            reasons.append(f"it is dated {self.measured_utc}, {_in_words(-age_s)} from now")
        if self.temperature_k is not None and temperature_k is not None:
            change_k = temperature_k - self.temperature_k
            if abs(change_k) > max_temperature_change_k:
                reasons.append(
                    f"it was measured at {self.temperature_k:.1f} K and the chip is at {temperature_k:.1f} K, "
                    f"{abs(change_k):.1f} K away where {max_temperature_change_k:g} K are allowed"
                )
        return tuple(reasons)

    def check_chip(self, identity: Identity, geometry: Geometry, path: Path | None = None) -> None:
        """Refuse a chip that is not the one it was measured on.

        Raises
        ------
        ReadCalibrationError
            Another maker, model or serial number, or another number of columns.
        """
        measured = f"{self.maker} {self.model} {self.serial} with {self.cols} columns"
        here = f"{identity.maker} {identity.model} {identity.serial} with {geometry.cols} columns"
        if measured != here:
            raise ReadCalibrationError(
                f"{path or 'the read calibration'} was measured on {measured}, and the bench has {here}: "
                "measure this chip's own with `labkit calibrate reads`, or name its file as read_calibration",
                path=path,
                expected=measured,
                got=here,
            )

    # ------------------------------------------------------------------ the file

    def to_bytes(self) -> bytes:
        """Return the contents of its file."""
        content = {
            "schema": SCHEMA,
            "chip": {"maker": self.maker, "model": self.model, "serial": self.serial},
            "measured_unix_ns": self.measured_unix_ns,
            "measured_utc": self.measured_utc,
            "temperature_k": self.temperature_k,
            "reads": {
                "voltage_v": self.read_voltage_v,
                "range_a": self.range_a,
                "aperture_s": self.aperture_s,
                "samples": self.samples,
                "repeats": self.repeats,
            },
            "references": {
                "rows": {str(row): value for row, value in self.references.items()},
                "tolerance": self.tolerance,
                "lines_ohm": None if self.lines_ohm is None else list(self.lines_ohm),
                "misfit": self.misfit,
            },
            "uncalibrated": {str(column): why for column, why in self.uncalibrated.items()},
            "columns": {
                "gain": _numbers(self.gain),
                "gain_half_width": _numbers(self.gain_half_width),
                "offset_a": _numbers(self.offset_a),
                "offset_half_width_a": _numbers(self.offset_half_width_a),
                "covariance_a": _numbers(self.covariance_a),
            },
        }
        return (json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()

    @classmethod
    def load(cls, path: str | Path) -> ReadCalibration:
        """Read a calibration file.

        Raises
        ------
        ReadCalibrationError
            It cannot be read, is no calibration, is damaged, or was written by a later version.
        """
        from drivers.read_calibration_file import read_calibration_file

        return cls(**read_calibration_file(Path(path)))


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values.tolist()]


def _in_words(seconds: float) -> str:
    for size_s, unit in ((86_400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size_s:
            return f"{seconds / size_s:.3g} {unit}"
    return f"{seconds:.3g} s"
