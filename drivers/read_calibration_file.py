"""Reading the file of a read calibration: strictly, with every fault named by its place."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from drivers.errors import ReadCalibrationError

__all__ = ["read_calibration_file"]

_READABLE = 1
_AGAIN = "measure it again with `labkit calibrate reads`"

_Positive = Annotated[float, Field(gt=0.0)]
_Width = Annotated[float, Field(ge=0.0)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class _Chip(_Section):
    maker: str
    model: str
    serial: str


class _Reads(_Section):
    voltage_v: _Positive
    range_a: _Positive
    aperture_s: _Positive
    samples: int = Field(ge=1)
    repeats: int = Field(ge=2)


class _References(_Section):
    rows: dict[str, _Positive] = Field(min_length=1)
    tolerance: _Width
    lines_ohm: Annotated[list[_Width], Field(min_length=3, max_length=3)] | None
    misfit: _Width | None


class _Columns(_Section):
    gain: list[_Positive] = Field(min_length=1)
    gain_half_width: list[_Width | None]
    offset_a: list[float]
    offset_half_width_a: list[_Width | None]
    covariance_a: list[float | None]


class _File(_Section):
    schema_: str = Field(alias="schema")
    chip: _Chip
    measured_unix_ns: int = Field(ge=0, lt=2**63)
    measured_utc: str
    temperature_k: _Positive | None
    reads: _Reads
    references: _References
    uncalibrated: dict[str, str]
    columns: _Columns


def read_calibration_file(path: Path) -> dict[str, Any]:
    """Read the file at `path` as the fields of :class:`~drivers.read_calibration.ReadCalibration`.

    Raises
    ------
    ReadCalibrationError
        It cannot be read, is no calibration, is damaged, or was written by a later version.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReadCalibrationError(f"{path} cannot be read: {error.strerror or error}", path=path) from error
    _check_schema(data, path)
    try:
        found = _File.model_validate_json(data)
        rows = {int(row): value for row, value in found.references.rows.items()}
        uncalibrated = {int(column): why for column, why in found.uncalibrated.items()}
        columns = {name: _array(values) for name, values in found.columns}
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise ReadCalibrationError(
            f"{path} is damaged: {where}: {first['msg'][:1].lower()}{first['msg'][1:]}; {_AGAIN}", path=path
        ) from error
    except ValueError as error:
        raise ReadCalibrationError(f"{path} is damaged: {error}; {_AGAIN}", path=path) from error
    number = columns["gain"].size
    if any(values.size != number for values in columns.values()) or any(
        not 0 <= column < number for column in uncalibrated
    ):
        raise ReadCalibrationError(
            f"{path} is damaged: its lists are not of one length, {number} columns; {_AGAIN}", path=path
        )
    lines = found.references.lines_ohm
    return {
        **columns,
        "maker": found.chip.maker,
        "model": found.chip.model,
        "serial": found.chip.serial,
        "uncalibrated": uncalibrated,
        "measured_unix_ns": found.measured_unix_ns,
        "temperature_k": found.temperature_k,
        "read_voltage_v": found.reads.voltage_v,
        "range_a": found.reads.range_a,
        "aperture_s": found.reads.aperture_s,
        "samples": found.reads.samples,
        "repeats": found.reads.repeats,
        "references": rows,
        "tolerance": found.references.tolerance,
        "lines_ohm": None if lines is None else (lines[0], lines[1], lines[2]),
        "misfit": found.references.misfit,
        "_sha256": hashlib.sha256(data).hexdigest(),
    }


def _check_schema(data: bytes, path: Path) -> None:
    """Tell a foreign file and a later format apart from a damaged one."""
    schema = re.search(rb'"schema"\s*:\s*"labkit-read-calibration/(\d+)"', data)
    if schema is None:
        raise ReadCalibrationError(
            f"{path} is no read calibration; name a file that `labkit calibrate reads` wrote", path=path
        )
    if int(schema[1]) > _READABLE:
        raise ReadCalibrationError(
            f"{path} was written as labkit-read-calibration/{int(schema[1])}, this labkit reads up to "
            f"{_READABLE}: install a newer labkit",
            path=path,
        )


def _array(values: list[float | None]) -> Any:
    return np.array([np.nan if value is None else value for value in values], np.float64)
