"""The file of a read calibration: written and read again, and every fault of it named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from drivers.errors import DriverError, ReadCalibrationError
from drivers.read_calibration import ReadCalibration


def calibration() -> ReadCalibration:
    rng = np.random.default_rng(1)
    width = np.full(8, 0.003)
    width[5] = np.nan
    return ReadCalibration(
        maker="PCMLAB", model="TOY", serial="7",
        gain=1.0 + 0.01 * rng.standard_normal(8), gain_half_width=width,
        offset_a=1e-8 * rng.standard_normal(8), offset_half_width_a=1e-6 * width, covariance_a=-1e-9 * width,
        uncalibrated={5: "none of its references could be read"},
        measured_unix_ns=1_767_225_600_123_456_789, temperature_k=300.5,
        read_voltage_v=0.2, range_a=1e-5, aperture_s=1e-6, samples=64, repeats=16,
        references={1022: 5e-6, 1023: 20e-6}, tolerance=0.005, lines_ohm=(0.0, 0.35, 0.35), misfit=None,
    )  # fmt: skip


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    written = calibration()
    (tmp_path / "reads.json").write_bytes(written.to_bytes())
    read = ReadCalibration.load(tmp_path / "reads.json")

    for name, value in vars(written).items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(read, name), value)
        elif name != "_sha256":
            assert getattr(read, name) == value, name
    assert read.sha256 == written.sha256
    assert json.loads(written.to_bytes())["measured_utc"] == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("place", "value", "said"),
    [
        (("columns", "gain"), [1.0] * 7 + [0.0], "columns.gain.7: input should be greater than 0"),
        (("columns", "gain"), [1.0] * 7, "not of one length, 7 columns"),
        (("columns", "offset_a"), [0.0] * 7 + ["0"], "columns.offset_a.7"),
        (("columns", "extra"), [], "columns.extra: extra inputs are not permitted"),
        (("uncalibrated",), {"8": "far"}, "not of one length"),
        (("uncalibrated",), {"five": "far"}, "invalid literal"),
        (("chip", "serial"), 7, "chip.serial"),
        (("references", "rows"), {}, "references.rows"),
        (("references", "lines_ohm"), [1.0], "references.lines_ohm"),
        (("temperature_k",), -3.0, "temperature_k"),
        (("schema",), "labkit-read-calibration/2", "written as labkit-read-calibration/2"),
        (("schema",), "labkit-run/1", "is no read calibration"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, place: tuple[str, ...], value: Any, said: str) -> None:
    content = json.loads(calibration().to_bytes())
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path = tmp_path / "reads.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ReadCalibrationError) as caught:
        ReadCalibration.load(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.path == path


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_half_a_file_is_refused(tmp_path: Path, share: float) -> None:
    data = calibration().to_bytes()
    path = tmp_path / "reads.json"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ReadCalibrationError, match="damaged" if share else "is no read calibration"):
        ReadCalibration.load(path)


def test_a_file_that_cannot_be_read_is_a_driver_error(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="No such file"):
        ReadCalibration.load(tmp_path / "missing.json")
    with pytest.raises(ReadCalibrationError, match="directory"):
        ReadCalibration.load(tmp_path)
