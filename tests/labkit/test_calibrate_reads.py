"""Calibrating the reads of a chip in memory, applying it, and everything it must refuse."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from reference_chip import CELL_S, KEPT, ReferenceChip, reference_station
from toy_chip import write_bench

from calibration.laws.array import Lines
from drivers.bench import load_bench
from drivers.calibrated_reads import CalibratedChip
from drivers.chip import Batch, Chip, Pulse, ReadFlag, ReadSetup
from drivers.errors import InstrumentError, ReadCalibrationError
from drivers.read_calibration import ReadCalibration
from labkit import ReferencesProtected, StationError
from labkit.envelope import GuardedChip
from labkit.read_calibration_run import calibrate_reads
from labkit.read_path import save_calibration
from labkit.station import Station

SETUP = ReadSetup(samples=64, range_a=1e-5)
DAY_NS = 86_400 * 10**9


def kept(folder: Path, chip: ReferenceChip, **options: Any) -> ReadCalibration:
    """Calibrate a chip and write the file its bench file names."""
    with reference_station(folder, chip, extra=KEPT) as station:
        found = calibrate_reads(station, **options)
        path = station.bench.instruments["chip"].read_calibration
    assert path is not None
    save_calibration(found, path)
    return found


def with_calibration(folder: Path, chip: ReferenceChip, extra: str = "") -> Station:
    return reference_station(folder, chip, extra=KEPT + extra, calibrated=True)


def mean_reading(station: Station, cells: Any, times: int = 24) -> Any:
    return np.mean([station.chip.read(cells, SETUP).g_s for _ in range(times)], axis=0, dtype=np.float64)


# ---- what it measures and what it does


def test_readings_are_unbiased_once_they_are_calibrated(tmp_path: Path) -> None:
    chip = ReferenceChip(cols=512)
    chip.gain *= 1.03  # common to all columns
    kept(tmp_path, chip)
    cells = np.arange(512, dtype=np.uint32)
    with reference_station(tmp_path, chip) as raw:
        raw.energise()
        before = mean_reading(raw, cells) / CELL_S - 1.0
    with with_calibration(tmp_path, chip) as station:
        station.energise()
        after = mean_reading(station, cells) / CELL_S - 1.0
        assert station.warnings == ()

    # Before: 3 % in common and 1.1 % from column to column. After: the tolerance of two references, 0.26 % at
    # 10 uS, and noise of 0.1 %; their mean over 512 columns within five of its standard deviations.
    assert before.mean() == pytest.approx(0.03, abs=0.004)
    assert before.std() > 0.008
    assert abs(after.mean()) < 5 * after.std() / np.sqrt(512)
    assert after.std() == pytest.approx(0.0024, rel=0.25)


def test_no_cell_is_pulsed_and_the_power_is_off_afterwards(tmp_path: Path) -> None:
    chip = ReferenceChip()
    with reference_station(tmp_path, chip) as station:
        calibrate_reads(station, samples=4, repeats=3)
        assert not chip.on
        assert not chip.connected
    assert chip.batches == []
    assert sum(1 for entry in chip.done if entry[0] == "read") == 3


def test_line_resistances_do_not_end_up_in_the_gain(tmp_path: Path) -> None:
    lines = Lines(100.0, 50.0, 5.0)
    chip = ReferenceChip(cols=256)
    row, col = np.mgrid[0:8, 0:256]
    chip.true_s[0] = lines.measured_s(chip.true_s[0], row, col)
    found = kept(tmp_path, chip, lines=lines)
    without = kept(tmp_path, chip)

    right = (found.gain - chip.gain) / found.gain_half_width
    wrong = (without.gain - chip.gain) / without.gain_half_width
    # Normal with a spread of 1/1.96, so 0.16 is five standard deviations of the mean of 256.
    assert abs(right.mean()) < 0.16
    assert wrong.mean() < -1.0
    assert (found.lines_ohm, without.lines_ohm) == ((100.0, 50.0, 5.0), None)


def test_a_calibrated_chip_is_a_chip_and_passes_on_what_its_driver_has_beside(tmp_path: Path) -> None:
    chip = ReferenceChip()
    found = kept(tmp_path, chip)
    wrapped = CalibratedChip(chip, found)
    assert isinstance(wrapped, Chip)
    assert wrapped.batches is chip.batches  # of the toy chip alone
    with pytest.raises(AttributeError):
        _ = wrapped.of_no_driver


def test_flags_are_kept_and_what_was_not_read_stays_unread(tmp_path: Path) -> None:
    chip = ReferenceChip()
    found = kept(tmp_path, chip)
    wrapped = CalibratedChip(chip, found)
    chip.flags_of = {0: ReadFlag.CLIPPED_HIGH, 1: ReadFlag.MASKED, 2: ReadFlag.CLIPPED_LOW}
    chip.power(False)  # the latch of the station before
    chip.power(True)
    chip.outputs(True)
    cells = np.array([3, 0, 2, 1, 67], np.uint32)
    reading = wrapped.read(cells, SETUP, stamps=False)

    assert reading.flags.tolist() == [0, 1, 2, 4, 0]
    assert np.isnan(reading.g_s).tolist() == [False, True, False, True, False]
    assert reading.g_s.dtype == np.float32
    # 67 is in column 3 of the next row, as cell 3: the same correction, and noise of 0.15 uS / 8 twice.
    assert reading.g_s[0] == pytest.approx(reading.g_s[4], abs=5 * 0.03e-6)


def test_currents_of_columns_are_corrected_alike(tmp_path: Path) -> None:
    chip = ReferenceChip()
    found = kept(tmp_path, chip)
    column = np.array([3, 60])
    raw_a = found.gain[column] * 2e-6 + found.offset_a[column]
    np.testing.assert_allclose(found.true_current_a(raw_a, column), 2e-6, rtol=1e-12)
    assert np.isnan(found.true_current_a(np.array([np.nan]), np.array([0]))).all()


@dataclass
class Times:
    """A product, as far as its correction cares."""

    current_a: Any
    scale_a: float
    mvm_id: int


class MultiplyingChip(ReferenceChip):
    """Multiplies by noiseless ones of 10 uS; a batch with any negative input takes two passes throughout,
    or each vector as many as it needs."""

    per_batch = True

    def multiply(self, rectangle: Any, inputs: Any, setup: ReadSetup) -> Times:
        columns = slice(rectangle.col, rectangle.col + rectangle.cols)
        volts = setup.voltage_v * inputs.astype(np.float64) / 127
        ideal = np.repeat(CELL_S * volts.sum(axis=1)[:, np.newaxis], rectangle.cols, axis=1)
        negative = (inputs < 0).any(axis=1)
        once = ~(negative.any() | negative) if self.per_batch else ~negative
        current = self.gain[columns] * ideal + once[:, np.newaxis] * self.offset_a[columns]
        self._do("multiply", len(inputs))
        return Times(current.astype(np.float32), 1e-9 * len(inputs), len(self.done))


@pytest.mark.parametrize("per_batch", [True, False])
@pytest.mark.parametrize("signs", ["both", "positive", "negative"])
def test_products_are_corrected_however_many_passes_they_took(
    tmp_path: Path, per_batch: bool, signs: str
) -> None:
    chip = MultiplyingChip()
    chip.per_batch = per_batch
    found = replace(kept(tmp_path, chip), gain=chip.gain, offset_a=chip.offset_a)
    inputs = np.array([[1, 2, 127], [-3, 2, 127], [0, 0, 0], [5, -127, 9]], np.int8)
    inputs = inputs[{"both": [0, 1, 2, 3], "positive": [0, 2], "negative": [1, 3]}[signs]]
    rectangle = SimpleNamespace(bank=0, row=0, col=20, rows=3, cols=30)
    product = CalibratedChip(chip, found).multiply(rectangle, inputs, SETUP)

    ideal = CELL_S * 0.2 / 127 * inputs.astype(float).sum(axis=1)
    assert product.current_a.dtype == np.float32
    np.testing.assert_allclose(product.current_a, np.repeat(ideal[:, None], 30, 1), atol=1e-12)
    assert product.mvm_id == len(chip.done)
    assert product.scale_a == 2e-9


def test_a_chip_that_cannot_multiply_says_so(tmp_path: Path) -> None:
    chip = ReferenceChip()
    wrapped = CalibratedChip(chip, kept(tmp_path, chip))
    with pytest.raises(InstrumentError, match="has no multiply"):
        wrapped.multiply(SimpleNamespace(col=0, cols=2), np.ones((1, 2), np.int8), SETUP)


# ---- stale


def test_a_calibration_grows_stale_with_age_and_with_temperature(tmp_path: Path) -> None:
    chip = ReferenceChip()
    found = kept(tmp_path, chip)
    limits = {"max_age_s": 7 * 86_400.0, "max_temperature_change_k": 5.0}
    now_ns = found.measured_unix_ns

    assert found.staleness(now_ns + 6 * DAY_NS, 304.0, **limits) == ()
    assert found.staleness(now_ns + 6 * DAY_NS, None, **limits) == ()
    (old,) = found.staleness(now_ns + 8 * DAY_NS, 300.0, **limits)
    assert "8 d old" in old
    assert "7 d are allowed" in old
    (hot,) = found.staleness(now_ns, 306.0, **limits)
    assert "300.0 K" in hot
    assert "306.0 K" in hot
    (future,) = found.staleness(now_ns - DAY_NS, 300.0, **limits)
    assert "1 d from now" in future
    assert len(found.staleness(now_ns + 8 * DAY_NS, 290.0, **limits)) == 2


def test_a_station_says_that_its_calibration_is_stale_and_keeps_it_in_its_snapshot(tmp_path: Path) -> None:
    chip = ReferenceChip()
    found = kept(tmp_path, chip)
    chip.kelvin = 310.0
    with with_calibration(tmp_path, chip) as station:
        (said,) = station.warnings
        facts = station.snapshot()["read_calibration"]
        check = station.check()[-1]
    assert "is stale: it was measured at 300.0 K and the chip is at 310.0 K" in said
    assert f"labkit calibrate reads --station {tmp_path / 'bench.yaml'}" in said
    assert facts["sha256"] == found.sha256
    assert facts["temperature_k"] == 300.0
    assert facts["measured_unix_ns"] == found.measured_unix_ns
    assert len(facts["stale"]) == 1
    assert (check.name, check.ok) == ("read calibration", False)
    assert "310.0 K" in check.detail

    with with_calibration(tmp_path, chip, "    read_calibration_max_temperature_change: 20 K\n") as station:
        assert station.warnings == ()
        assert station.check()[-1].ok
        assert station.snapshot()["read_calibration"]["stale"] == []


def test_a_station_without_the_file_reads_raw_and_says_so(tmp_path: Path) -> None:
    chip = ReferenceChip()
    with with_calibration(tmp_path, chip) as station:
        (said,) = station.warnings
        assert station.read_calibration is None
        assert station.chip.chip is chip
        assert station.snapshot()["read_calibration"] is None
        assert station.check()[-1].detail.startswith("none yet")
    assert "readings are raw" in said
    with reference_station(tmp_path, chip, calibrated=True) as station:  # none is asked for
        assert station.warnings == ()
        assert station.check()[-1].name != "read calibration"


def test_the_advice_names_the_instrument_where_a_bench_has_several(tmp_path: Path) -> None:
    path = write_bench(tmp_path, extra=KEPT)
    other = "  other: {driver: pcm-controller, address: TCPIP0::192.0.2.9::5025::SOCKET}\n"
    path.write_text(path.read_text().replace("instruments:\n", f"instruments:\n{other}"))
    bench = load_bench(path)
    (name,) = set(bench.instruments) - {"other"}
    with Station(bench, name, opener=lambda *_: ReferenceChip()) as station:
        (said,) = station.warnings
    assert said.endswith(f"labkit calibrate reads --station {path} --instrument {name}")


# ---- refused


def test_another_chip_is_refused(tmp_path: Path) -> None:
    kept(tmp_path, ReferenceChip())
    other = ReferenceChip()
    other.serial = "0002"
    with (
        pytest.raises(
            ReadCalibrationError, match=r"measured on PCMLAB TOY 0001 .* has PCMLAB TOY 0002"
        ) as caught,
        with_calibration(tmp_path, other),
    ):
        pass
    assert caught.value.path == tmp_path / "reads.json"
    assert other.done[-2:] == ["safe", "close"]
    with pytest.raises(ReadCalibrationError, match=r"64 columns, and the bench has .* 32 columns"):
        CalibratedChip(ReferenceChip(cols=32), ReadCalibration.load(tmp_path / "reads.json"))
    with reference_station(tmp_path, other, extra=KEPT) as raw:  # that is how its own is measured
        assert calibrate_reads(raw, samples=4, repeats=2).serial == "0002"


@pytest.mark.parametrize(
    ("references", "said"),
    [
        (None, "declares no reference resistors"),
        ("{rows: {6: 5 uS, 7: 5 uS}, tolerance: 0.5 %}", "one value only, 5 uS: that gives the gain"),
        ("{rows: {6: 5 uS, 7: 600 uS}, tolerance: 0.5 %}", "600 uS, carries 120 uA at 0.2 V"),
    ],
)
def test_references_that_do_not_suffice(tmp_path: Path, references: str | None, said: str) -> None:
    chip = ReferenceChip()
    with reference_station(tmp_path, chip, references=references) as station:
        with pytest.raises(ReadCalibrationError, match=said):
            calibrate_reads(station)
        assert not chip.on


def test_reference_rows_must_be_on_the_chip(tmp_path: Path) -> None:
    station = reference_station(
        tmp_path, ReferenceChip(), references="{rows: {6: 5 uS, 8: 20 uS}, tolerance: 1 %}"
    )
    with pytest.raises(StationError, match=r"names 8, and the chip has rows 0 \.\. 7"), station:
        pass


def test_a_chip_none_of_whose_references_reads_is_refused(tmp_path: Path) -> None:
    chip = ReferenceChip(cols=4)
    chip.flags_of = dict.fromkeys(range(24, 32), ReadFlag.MASKED)
    with reference_station(tmp_path, chip) as station:
        with pytest.raises(
            ReadCalibrationError,
            match=r"column 0: none of its references .* they read nothing for 5 uS",
        ):
            calibrate_reads(station)
        assert not chip.on


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("{2: 5 uS, 3: 20 uS}", "read 10 uS for 5 uS, 10 uS for 20 uS"),  # memory cells
        ("{6: 20 uS, 7: 5 uS}", "read 20 uS for 5 uS, 5 uS for 20 uS"),  # changed over
        ("{6: 5 uS, 7: 2 uS}", "20 uS for 2 uS, 5 uS for 5 uS"),  # a digit lost
        ("{6: 0.5 uS, 7: 2 uS}", "gains would be 9.99 .* read 5 uS for 0.5 uS, 20 uS for 2 uS"),  # off by ten
    ],
)
def test_rows_that_hold_something_else_are_refused(tmp_path: Path, rows: str, said: str) -> None:
    chip = ReferenceChip()
    with reference_station(tmp_path, chip, references=f"{{rows: {rows}, tolerance: 0.5 %}}") as station:
        with pytest.raises(ReadCalibrationError, match=said):
            calibrate_reads(station)
        assert not chip.on


def test_settings_and_stations_that_cannot_calibrate(tmp_path: Path) -> None:
    chip = ReferenceChip()
    kept(tmp_path, chip)
    with with_calibration(tmp_path, chip) as station, pytest.raises(StationError, match="calibrated=False"):
        calibrate_reads(station)
    with reference_station(tmp_path, chip) as station:
        with pytest.raises(StationError, match=r"averages 1 \.\. 65536 conversions of a reading, not 70000"):
            calibrate_reads(station, samples=70_000)
        with pytest.raises(StationError, match="take 2 or more"):
            calibrate_reads(station, repeats=1)
        chip.flags_of = {7 * 64 + 3: ReadFlag.NOT_READ}
        with pytest.raises(StationError, match="cut short, 1 of 128 cells"):
            calibrate_reads(station)


# ---- reference rows are never pulsed


def batch(cells: list[int], amplitude: list[float]) -> Batch:
    pulse = Pulse(rise_s=1e-8, top_s=5e-8, fall_s=1e-8, period_s=1e-6, full_scale=460e-6)
    return Batch(1, np.array(cells, np.uint32), pulse, np.array(amplitude, np.float32))


def test_a_batch_that_would_pulse_a_reference_is_refused(tmp_path: Path) -> None:
    chip = ReferenceChip(cols=16, banks=2)
    with reference_station(tmp_path, chip) as station:
        guarded: GuardedChip = station.chip
        station.energise()
        in_row_7_of_bank_1 = (8 + 7) * 16 + 3
        with pytest.raises(ReferencesProtected, match="row 7") as caught:
            guarded.program(batch([1, in_row_7_of_bank_1, 6 * 16], [1e-4, 1e-4, 1e-4]))
        assert (caught.value.cell, caught.value.entry, caught.value.row) == (in_row_7_of_bank_1, 1, 7)
        assert (caught.value.offenders, caught.value.exit_code) == (2, 3)
        assert chip.batches == []
        assert guarded.wear.sum() == 0
        guarded.program(batch([1, in_row_7_of_bank_1], [1e-4, np.nan]))  # NaN is no pulse
        assert len(chip.batches) == 1
