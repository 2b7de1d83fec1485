"""The read chain of the simulated cells: converter, ranges, clipping, averaging (device-physics §4)."""

from __future__ import annotations

import numpy as np
import pytest
from silicon import EIGHT_BITS, NOISELESS_CONVERTER, US, Silicon


def raw(silicon: Silicon, **options: object) -> tuple[np.ndarray, np.ndarray]:
    settings = {
        "voltage_v": 0.2,
        "samples": 1,
        "aperture_s": 1e-6,
        "spacing_s": 2e-6,
        **EIGHT_BITS,
        **options,
    }
    at_ns = np.full(silicon.cells.size, silicon.now_ns, np.int64)
    return silicon.chip.read(silicon.cells, at_ns, **settings)


def test_a_converter_with_a_zero_does_not_rectify_noise() -> None:
    silicon = Silicon(20_000)
    silicon.pulse(480e-6)
    silicon.wait(1.0)
    current, flags = raw(silicon)
    assert (current < 0).any()
    assert not flags.any()
    # 0.1 uS of RESET is half a code; the mean shows it nevertheless
    assert current[silicon.works].mean() / 0.2 == pytest.approx(silicon.truth(0).mean(), abs=0.02 * US)
    rectified, flags = raw(silicon, adc_zero=0)
    assert ((flags & 2) != 0).mean() > 0.3
    assert np.isfinite(rectified).all()
    assert rectified.mean() > current.mean()


def test_clipping_high_is_no_number() -> None:
    silicon = Silicon(1000)
    silicon.wait(1.0)
    current, flags = raw(silicon, ranges_a=[1e-6])
    crystalline = silicon.chip.truth(silicon.cells, silicon.now_ns) > 10 * US
    assert np.isnan(current[crystalline]).all()
    assert (flags[crystalline] == 1).all()


def test_every_cell_finds_its_own_range() -> None:
    silicon = Silicon(4000)
    silicon.pulse(np.linspace(225e-6, 480e-6, 4000).astype(np.float32))
    silicon.wait(1.0)
    ranges = [1e-7, 1e-6, 1e-5, 1e-4]
    fixed, _ = raw(silicon)
    chosen, flags = raw(silicon, ranges_a=ranges)
    assert not flags[silicon.works].any()
    reset = silicon.works & (silicon.chip.truth(silicon.cells, silicon.now_ns) < 0.2 * US)
    fine, coarse = np.unique(chosen[reset]), np.unique(fixed[reset])
    assert fine.size > 10 * coarse.size


@pytest.mark.parametrize("samples", [16, 64, 65, 400])
def test_averaging_narrows_what_the_converter_adds(samples: int) -> None:
    silicon = Silicon(4000)
    for cell in range(4000):
        silicon.chip.stick(cell, "OPEN")  # nothing flows, so nothing but the converter is seen
    silicon.wait(1.0)
    current, flags = raw(silicon, samples=samples)
    one, step = 0.003 * 10e-6, 10e-6 / 256
    expected = np.sqrt((one**2 + step**2 / 12) / samples)
    assert not flags.any()
    assert current.mean() == pytest.approx(0.0, abs=5 * expected / np.sqrt(4000))
    assert current.std() == pytest.approx(expected, rel=0.06)


def test_an_offset_of_the_converter_shows_in_every_reading() -> None:
    silicon = Silicon(2000, NOISELESS_CONVERTER)
    silicon.pulse(300e-6)
    silicon.wait(1.0)
    plain = silicon.read()
    again = Silicon(2000, NOISELESS_CONVERTER)
    again.pulse(300e-6)
    again.wait(1.0)
    np.testing.assert_allclose(again.read(offset_a=0.1e-6) - plain, 0.5 * US, rtol=1e-3)


def test_broken_cells_read_as_what_they_are() -> None:
    silicon = Silicon(600)
    silicon.chip.stick(3, "SET")
    silicon.chip.stick(4, "RES")
    silicon.chip.stick(5, "OPEN")
    silicon.pulse(320e-6)
    silicon.wait(30.0)
    current, _ = raw(silicon)
    g_us = current / 0.2 / US
    assert g_us[3] > 12
    assert abs(g_us[4]) < 0.8
    assert abs(g_us[5]) < 0.8
    assert silicon.chip.truth(silicon.cells, silicon.now_ns)[5] == 0.0
