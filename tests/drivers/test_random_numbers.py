"""The random numbers of the simulated chip: published vectors, distribution, independence."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from drivers.simulated.jit import kernel
from drivers.simulated.random_numbers import LANES, exp2, log2, normals, philox, uniforms


@kernel
def _philox(counter, key, out):  # type: ignore[no-untyped-def]
    out[0], out[1], out[2], out[3] = philox(counter[0], counter[1], counter[2], counter[3], key[0], key[1])


@kernel
def _normals(lane, event, kind, draw, key, words, out):  # type: ignore[no-untyped-def]
    normals(lane, event, kind, draw, key, words, out, 0)


@kernel
def _uniforms(lane, event, key, out):  # type: ignore[no-untyped-def]
    uniforms(lane, event, 4, 3, key, out, 0)


@kernel
def _powers(x, out):  # type: ignore[no-untyped-def]
    for i in range(x.size):
        out[0, i] = exp2(x[i])
        out[1, i] = log2(out[0, i])


def draw(
    lanes: NDArray[np.uint32], event: int, kind: int = 1, number: int = 0, seed: int = 7
) -> NDArray[np.float32]:
    out = np.empty(4 * LANES, np.float32)
    key = np.array([seed & 0xFFFFFFFF, seed >> 32], np.uint32)
    events = np.full(LANES, event, np.uint32)
    _normals(lanes, events, kind, number, key, np.empty(4 * LANES, np.uint32), out)
    return out.reshape(4, LANES)


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ([0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
)
def test_philox_gives_the_vectors_of_random123(counter: list[int], key: list[int], answer: list[int]) -> None:
    out = np.empty(4, np.uint32)
    _philox(np.array(counter, np.uint32), np.array(key, np.uint32), out)
    assert out.tolist() == answer


def test_normals_are_normal_and_independent() -> None:
    lanes = np.arange(LANES, dtype=np.uint32)
    values = np.array([draw(lanes, event) for event in range(1000)])  # events, draws, lanes
    # Largest distance of the distribution functions; 1.95 / sqrt(n) is exceeded once in a thousand seeds.
    assert stats.kstest(values.ravel(), "norm").statistic < 1.95 / np.sqrt(values.size)
    n = values[:, 0].size
    for other in (
        values[:, 1],
        values[:, 2],
        values[:, 3],
        np.roll(values[:, 0], 1, 0),
        np.roll(values[:, 0], 1, 1),
    ):
        correlation = float(np.mean(values[:, 0] * other))
        assert abs(correlation) < 3.9 / np.sqrt(n)  # one in ten thousand each


def test_a_number_depends_on_its_own_counter_alone() -> None:
    lanes = np.arange(LANES, dtype=np.uint32)
    np.testing.assert_array_equal(draw(lanes[::-1].copy(), 5), draw(lanes, 5)[:, ::-1])
    whole = draw(lanes, 5)
    for other in (draw(lanes, 6), draw(lanes, 5, kind=2), draw(lanes, 5, number=1), draw(lanes, 5, seed=8)):
        assert not np.intersect1d(whole, other).size


def test_uniforms_fill_their_interval() -> None:
    out = np.empty(LANES, np.float32)
    key = np.array([1, 2], np.uint32)
    every = []
    for event in range(400):
        _uniforms(np.arange(LANES, dtype=np.uint32), np.full(LANES, event, np.uint32), key, out)
        every.append(out.copy())
    values = np.concatenate(every)
    assert values.min() >= 0.0
    assert values.max() < 1.0
    assert stats.kstest(values, "uniform").statistic < 1.95 / np.sqrt(values.size)


def test_powers_and_logarithms_are_close_to_exact() -> None:
    x = np.linspace(-30, 30, 20_001).astype(np.float32)
    out = np.empty((2, x.size), np.float32)
    _powers(x, out)
    np.testing.assert_allclose(out[0], np.exp2(x.astype(np.float64)), rtol=2e-7)
    np.testing.assert_allclose(out[1], np.log2(out[0].astype(np.float64)), atol=3e-6)
