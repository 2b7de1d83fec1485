"""The intervals of the read path's gains and offsets hold what they say, whatever the converter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from reference_chip import ReferenceChip, reference_station
from scipy.stats import binom

from drivers.chip import ReadFlag
from drivers.read_calibration import ReadCalibration
from labkit.read_calibration_run import calibrate_reads, summary
from labkit.read_path_fit import step_variance

COLUMNS = 2048


def calibrated(folder: Path, chip: ReferenceChip, *, references: str = "", **options: int) -> ReadCalibration:
    with reference_station(folder, chip, references=references) as station:
        return calibrate_reads(station, **{"samples": 16, "repeats": 16, **options})


def covered(found: ReadCalibration, chip: ReferenceChip) -> tuple[int, int]:
    """Columns whose gain, and whose offset, lies in its interval."""
    gain = np.abs(found.gain - chip.gain) <= found.gain_half_width
    offset = np.abs(found.offset_a - chip.offset_a) <= found.offset_half_width_a
    return int(gain.sum()), int(offset.sum())


@pytest.mark.parametrize(
    ("banks", "rows", "noise", "samples"),
    [
        (1, {6: 5e-6, 7: 20e-6}, 0.003, 16),  # the tolerance dominates
        (4, {6: 5e-6, 7: 20e-6}, 0.003, 16),  # it averages over the banks
        (1, {5: 4e-6, 6: 12e-6, 7: 30e-6}, 0.003, 16),
        (1, {6: 5e-6, 7: 20e-6}, 0.02, 1),  # the noise dominates
    ],
)
def test_nineteen_of_twenty_columns_lie_in_their_intervals(
    tmp_path: Path, banks: int, rows: dict[int, float], noise: float, samples: int
) -> None:
    chip = ReferenceChip(cols=COLUMNS, banks=banks, references=rows, noise=noise)
    listed = ", ".join(f"{row}: {value!r}" for row, value in rows.items())
    found = calibrated(
        tmp_path, chip, references=f"{{rows: {{{listed}}}, tolerance: 0.5 %}}", samples=samples
    )

    # Binomial bounds, both sides; a right interval fails one of the eight with a probability of 8e-6 in all.
    low, high = binom.ppf(5e-7, COLUMNS, 0.95), binom.isf(5e-7, COLUMNS, 0.95)
    assert not found.uncalibrated
    for count in covered(found, chip):
        assert low <= count <= high
    if found.misfit is not None:
        assert found.misfit == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("noise", [0.0, 0.0005, 0.001])
def test_a_converter_whose_noise_does_not_smear_its_steps_has_wider_intervals(
    tmp_path: Path, noise: float
) -> None:
    chip = ReferenceChip(cols=COLUMNS, noise=noise)
    found = calibrated(tmp_path, chip)

    # Steps are no normal error, so the intervals may hold more than they say, never less.
    assert min(covered(found, chip)) >= binom.ppf(5e-7, COLUMNS, 0.95)
    assert np.median(found.offset_half_width_a) < 40e-9  # one step of the 10 uA range


def test_noise_of_half_a_step_smears_the_steps() -> None:
    """Against sampled means of a converter with noise, over all places within a step."""
    rng = np.random.default_rng(3)
    for noise in (0.0, 0.1, 0.2, 0.3):
        place = rng.uniform(-0.5, 0.5, 4000)
        mean = np.round(place[:, np.newaxis] + noise * rng.standard_normal((4000, 4000))).mean(axis=1)
        # The mean of 4000 conversions leaves (0.25 / 4000); the variance over 4000 places is known to 3 %.
        assert np.var(mean - place) == pytest.approx(step_variance(noise), rel=0.12, abs=1e-4)
    assert step_variance(0.5) < 1e-3


def test_more_banks_narrow_the_intervals(tmp_path: Path) -> None:
    one = summary(calibrated(tmp_path, ReferenceChip(cols=256)))
    four = summary(calibrated(tmp_path, ReferenceChip(cols=256, banks=4)))
    assert four["gain_half_width_median"] == pytest.approx(0.5 * one["gain_half_width_median"], rel=0.05)


def test_columns_that_look_broken_are_left_as_they_read(tmp_path: Path) -> None:
    chip = ReferenceChip(cols=128, banks=2)
    chip.gain[5] = 1.4
    chip.gain[6] = 0.0
    chip.noisy = {9}
    chip.true_s[0, 7, 11] *= 1.2
    cols = 128
    for column in (20, 21):
        for bank in (0, 1):
            chip.flags_of[(bank * 8 + 7) * cols + column] = ReadFlag.MASKED
    for bank in (0, 1):
        chip.flags_of[(bank * 8 + 6) * cols + 21] = ReadFlag.CLIPPED_LOW
    chip.flags_of[7 * cols + 30] = ReadFlag.CLIPPED_HIGH  # of one bank only: the other still tells
    found = calibrated(tmp_path, chip)

    assert {column: why.split()[0:3] for column, why in found.uncalibrated.items()} == {
        5: ["its", "gain", "of"],
        6: ["its", "gain", "of"],
        9: ["its", "readings", "scatter"],
        11: ["its", "references", "do"],
        20: ["only", "references", "of"],
        21: ["none", "of", "its"],
    }
    broken = list(found.uncalibrated)
    np.testing.assert_array_equal(found.gain[broken], 1.0)
    np.testing.assert_array_equal(found.offset_a[broken], 0.0)
    assert np.isnan(found.gain_half_width[broken]).all()
    assert np.isfinite(found.gain_half_width[30])
    assert found.gain_half_width[30] > 1.2 * np.nanmedian(found.gain_half_width)
    figures = summary(found)
    assert figures["columns_calibrated"] == 122
    assert figures["gain_error_rms"] == pytest.approx(0.01, rel=0.3)


def test_few_columns_are_never_called_far_off(tmp_path: Path) -> None:
    for seed in range(40):
        assert not calibrated(tmp_path, ReferenceChip(cols=5, seed=seed), samples=4).uncalibrated
