"""Global drift compensation: one scale per layer undoes what all its cells have in common."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.chip import Geometry
from labkit.compensation import compensated, scales
from labkit.mapping import WeightMap

RNG = np.random.default_rng(3)
WEIGHTS = {"one": RNG.normal(0, 1, (20, 10)), "two": RNG.normal(0, 1, (11, 6)), "zero": np.zeros((2, 2))}
MAP = WeightMap.place(WEIGHTS, Geometry(1, 32, 64), g_max_s=25e-6)
BEFORE = MAP.target_s.astype(np.float64)


def test_drift_that_all_cells_of_a_layer_share_is_undone() -> None:
    shares = np.array([0.8, 0.5, 1.0])
    now_s = BEFORE * shares[MAP.layer]
    factors = scales(MAP, BEFORE, now_s)
    assert factors == pytest.approx({"one": 1.25, "two": 2.0, "zero": 1.0})
    restored = compensated(MAP.weights(now_s), factors)
    for name, weights in WEIGHTS.items():
        np.testing.assert_allclose(restored[name], weights, rtol=1e-5, atol=1e-6)
        assert restored[name].dtype == np.float32


def test_a_subset_of_columns_may_be_summed() -> None:
    now_s = BEFORE * np.where((MAP.layer == 0) & np.isin(MAP.col, [2, 5]), 0.5, 0.9)
    factors = scales(MAP, BEFORE, now_s, columns={"one": [2, 5]})
    assert factors["one"] == pytest.approx(2.0)
    assert factors["two"] == pytest.approx(1 / 0.9)
    assert 1.0 < scales(MAP, BEFORE, now_s)["one"] < 1.5


def test_cells_without_a_reading_count_in_neither_sum() -> None:
    before_s, now_s = BEFORE.copy(), BEFORE * 0.8
    before_s[::3] = np.nan
    now_s[1::7] = np.nan
    assert scales(MAP, before_s, now_s)["one"] == pytest.approx(1.25)


def test_a_layer_without_conductance_is_left_as_it_is() -> None:
    gone = np.full(len(MAP), -1e-9)
    assert scales(MAP, BEFORE, gone) == {"one": 1.0, "two": 1.0, "zero": 1.0}
    assert scales(MAP, np.full(len(MAP), np.nan), BEFORE)["two"] == 1.0


def test_wrong_layers_columns_and_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="no layer three; the layers are one, two, zero"):
        scales(MAP, BEFORE, BEFORE, columns={"three": [0]})
    with pytest.raises(ValueError, match=r"'two' has outputs 0 \.\. 5, not \[6\]"):
        scales(MAP, BEFORE, BEFORE, columns={"two": [6]})
    with pytest.raises(ValueError, match="one per cell"):
        scales(MAP, BEFORE, BEFORE[:-1])
