"""What the array adds to its cells: lines, columns, resistors, and what neighbours have in common."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from silicon import CELLS, FINE, IBM90, SECOND_NS, US

from calibration import DeviceCard
from calibration.effects import EFFECTS
from drivers.simulated.chip import SimulatedChip
from drivers.simulated.peculiarities import References

ROWS, COLS = 64, 80


def only(*effects: str, **values: float) -> DeviceCard:
    """The whole card with nothing but some effects."""
    card = IBM90.without(*(set(EFFECTS) - set(effects)))
    names = {f"laws.{name.replace('__', '.parameters.')}": value for name, value in values.items()}
    return card.with_values(names, source="test") if names else card


def made(card: DeviceCard, **options: object) -> SimulatedChip:
    size = {"banks": 1, "rows": ROWS, "cols": COLS, "seed": 3, "threads": 1, **options}
    return SimulatedChip.create(card, **size)  # type: ignore[arg-type]


def all_cells(chip: SimulatedChip) -> NDArray[np.uint32]:
    return np.arange(chip.cells, dtype=np.uint32)


def pulsed(chip: SimulatedChip, amplitude_a: float) -> None:
    cells = all_cells(chip)
    at_ns = np.full(cells.size, SECOND_NS)
    amplitude = np.full(cells.size, amplitude_a, np.float32)
    chip.pulse(cells, amplitude, at_ns, rise_s=5e-9, top_s=45e-9, fall_s=5e-9)


def read_s(chip: SimulatedChip, voltage_v: float = 0.2, at_s: float = 40.0, **options: object) -> NDArray:
    cells = all_cells(chip)
    current, _ = chip.read(
        cells, np.full(cells.size, round(at_s * SECOND_NS)), voltage_v=voltage_v, samples=1, aperture_s=1e-6,
        spacing_s=2e-6, **{**FINE, **options},
    )  # fmt: skip
    return current.astype(np.float64).reshape(chip.banks * chip.rows, chip.cols) / voltage_v


def test_without_effects_a_chip_is_ideal() -> None:
    chip = made(only())
    curve = chip.card.programming_curve
    broken_line_s = 1e-3 * curve.full_conductance_mean_s  # how near the kernels keep to the melt branch
    for target_s in (20 * US, 11 * US, 3 * US):
        pulsed(chip, float(curve.current_for_a(target_s)))
        for at_s in (2.0, 1e6):
            np.testing.assert_allclose(read_s(chip, at_s=at_s), target_s, atol=1.1 * broken_line_s)
    assert not chip.health(all_cells(chip)).any()


def test_line_resistance_lowers_the_far_cells() -> None:  # device-physics §4.4
    card = only("lines", lines__series_ohm=4e3, lines__bit_line_ohm=20.0, lines__word_line_ohm=5.0)
    chip = made(card)
    virgin_s = CELLS.programming_curve.full_conductance_mean_s
    row, col = np.divmod(np.arange(chip.cells), COLS)
    expected = card.lines.measured_s(virgin_s, row, col).reshape(ROWS, COLS)
    np.testing.assert_allclose(read_s(chip), expected, rtol=1e-4)
    assert card.lines.measured_s(25 * US) == pytest.approx(25 * US * 0.909, rel=1e-3)  # C3: -9 %


def test_columns_share_gain_and_offset() -> None:
    chip = made(only("columns"), cols=2000, rows=4, banks=2)
    truth_s = chip.truth(all_cells(chip), 40 * SECOND_NS).reshape(8, 2000)
    expected = truth_s * chip.column_gain + chip.column_offset_a / 0.2
    np.testing.assert_allclose(read_s(chip), expected, rtol=1e-4)
    law = chip.card.columns
    # 2,000 columns: a spread is known to 1.6 %, here 6 standard errors
    assert chip.column_gain.std() == pytest.approx(law.gain_spread, rel=0.1)
    assert chip.column_offset_a.std() == pytest.approx(law.offset_spread_a, rel=0.1)
    assert abs(np.corrcoef(chip.column_gain, chip.column_offset_a)[0, 1]) < 0.12


def test_reference_rows_are_resistors() -> None:
    references = References({5: 5 * US, 63: 20 * US}, tolerance=0.01)
    chip = made(IBM90.without("converter"), cols=3000, references=references)
    before = chip.truth(all_cells(chip), SECOND_NS).reshape(ROWS, 3000)
    pulsed(chip, 450e-6)
    chip.set_temperature(358.15, 2 * SECOND_NS)
    after = chip.truth(all_cells(chip), 10**6 * SECOND_NS).reshape(ROWS, 3000)
    for row, nominal_s in references.rows.items():
        np.testing.assert_array_equal(before[row], after[row])
        # half the tolerance is one sigma: known to 1.3 % here
        assert (before[row] / nominal_s - 1).std() == pytest.approx(0.005, rel=0.07)
        column_s = after[row] * chip.column_gain + chip.column_offset_a / 0.2
        np.testing.assert_allclose(read_s(chip, at_s=1e6)[row], column_s, rtol=1e-3)
    assert np.median(after[6]) < 0.2 * US
    assert set(chip.health(np.uint32([5 * 3000, 63 * 3000 + 7]))) == {4}


def test_devices_of_a_row_and_of_a_column_resemble_each_other() -> None:
    law = {"row_share": 0.3, "column_share": 0.2, "die_share": 0.0}
    card = only("device_spread", "spatial_correlation").with_values(
        {f"laws.spatial_correlation.parameters.{name}": share for name, share in law.items()}, source="test"
    )
    chip = made(card, rows=300, cols=300)
    full = chip.truth(all_cells(chip), SECOND_NS).reshape(300, 300)
    z = (full - full.mean()) / CELLS.programming_curve.full_conductance_spread_s
    # the variance of 300 row means is known to 8 %; 4 standard errors
    assert z.mean(axis=1).var() == pytest.approx(0.3, rel=0.35)
    assert z.mean(axis=0).var() == pytest.approx(0.2, rel=0.35)
    assert z.var() == pytest.approx(1.0, rel=0.15)


def test_dies_differ_by_their_share() -> None:
    card = only("device_spread", "spatial_correlation").with_values(
        {"laws.spatial_correlation.parameters.die_share": 0.5}, source="test"
    )
    means = [
        made(card, seed=seed, rows=16, cols=16).truth(np.arange(256, dtype=np.uint32), SECOND_NS).mean()
        for seed in range(200)
    ]
    spread_s = CELLS.programming_curve.full_conductance_spread_s
    assert np.std(means) == pytest.approx(np.sqrt(0.5) * spread_s, rel=0.2)  # 4 standard errors


@pytest.mark.parametrize("voltage_v", [0.1, 0.3])
def test_current_over_voltage_bends_where_the_cell_is_amorphous(voltage_v: float) -> None:
    chip = made(only("current_voltage"))
    law = chip.card.current_voltage
    for target_s in (25 * US, 5 * US, 0.5 * US):
        pulsed(chip, float(chip.card.programming_curve.current_for_a(target_s)))
        ohmic = read_s(chip)
        np.testing.assert_allclose(ohmic, target_s, rtol=0.05)  # C10: at 0.2 V it is G
        expected = law.factor(target_s / chip.card.g_max_s, voltage_v)
        np.testing.assert_allclose(read_s(chip, voltage_v) / ohmic, expected, rtol=2e-3)


def test_the_other_polarity_reads_a_little_less_or_more() -> None:
    chip = made(only("current_voltage"), rows=100, cols=100)
    asymmetry = 1.0 - read_s(chip, -0.2) / read_s(chip, 0.2)
    law = chip.card.current_voltage
    assert asymmetry.std() == pytest.approx(law.polarity_spread, rel=0.03)  # 10,000 devices, 4 SE
    np.testing.assert_allclose(1.0 - read_s(chip, -0.2) / read_s(chip, 0.2), asymmetry, atol=1e-4)
