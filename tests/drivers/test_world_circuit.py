"""The circuit behind the twins: closed forms, limits, relays, and Kirchhoff for random networks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from bench_world import make_world
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.simulated.terminals import Amperes, Opened, Resistor, Volts
from drivers.simulated.world.circuit_kernel import AMPERES, VOLTS, Circuit, element_currents, solve
from drivers.simulated.world.defaults import HOLD_V, ON_OHM, RELAY_OHM


def test_a_resistor_obeys_ohm_and_a_source_its_limit(tmp_path: Path) -> None:
    smu = make_world(tmp_path, ["smu.a -- 100 kOhm -- ground"]).terminal("smu.a")
    smu.present(Volts(1.0, limit_a=1e-3))
    seen = smu.look(0.02)
    assert (seen.voltage_v, seen.limited) == (1.0, False)
    assert seen.current_a == pytest.approx(1e-5, rel=1e-9)
    smu.present(Volts(1.0, limit_a=2e-6))
    seen = smu.look()
    assert seen.limited
    assert seen.current_a == pytest.approx(2e-6, rel=1e-12)
    assert seen.voltage_v == pytest.approx(0.2, rel=1e-9)
    smu.present(Volts(-1.0, series_ohm=25e3, limit_a=1e-3))
    assert smu.look().voltage_v == pytest.approx(-0.8, rel=1e-9)
    smu.present(Amperes(3e-6, limit_v=1.0))
    assert smu.look().voltage_v == pytest.approx(0.3, rel=1e-9)
    smu.present(Amperes(-30e-6, limit_v=1.0))
    seen = smu.look()
    assert seen.limited
    assert (seen.voltage_v, seen.current_a) == (-1.0, pytest.approx(-1e-5, rel=1e-9))
    smu.present(Opened())
    assert (smu.look().voltage_v, smu.look().current_a) == (0.0, 0.0)


def test_an_open_socket_carries_next_to_nothing(tmp_path: Path) -> None:
    smu = make_world(tmp_path, []).terminal("smu.a")
    smu.present(Volts(1.0, limit_a=1e-3))
    assert abs(smu.look().current_a) < 1e-14
    smu.present(Amperes(1e-9, limit_v=20.0))
    seen = smu.look()
    assert seen.limited
    assert seen.voltage_v == 20.0


def test_a_socket_wired_to_ground_is_a_short(tmp_path: Path) -> None:
    smu = make_world(tmp_path, ["smu.a -- ground"]).terminal("smu.a")
    smu.present(Volts(5.0, limit_a=0.1))
    seen = smu.look()
    assert seen.limited
    assert (seen.voltage_v, seen.current_a) == (0.0, pytest.approx(0.1))


def test_a_scope_loads_what_it_looks_at(tmp_path: Path) -> None:
    world = make_world(tmp_path, ["smu.a -- 50 Ohm -- scope.1"])
    world.terminal("smu.a").present(Volts(1.0))
    scope = world.terminal("scope.1")
    scope.present(Resistor(1e6))
    assert scope.look().voltage_v == pytest.approx(1e6 / 1_000_050, rel=1e-9)
    scope.present(Resistor(50.0))
    assert scope.look().voltage_v == pytest.approx(0.5, rel=1e-9)
    assert scope.look().current_a == pytest.approx(-0.01, rel=1e-9)


def test_two_sources_on_one_node_share_it_within_their_limits(tmp_path: Path) -> None:
    world = make_world(tmp_path, ["smu.a -- smu.b", "smu.a -- 1 kOhm -- ground"])
    a, b = world.terminal("smu.a"), world.terminal("smu.b")
    a.present(Volts(1.0, limit_a=0.1))
    b.present(Amperes(0.5e-3, limit_v=10.0))
    assert a.look().current_a == pytest.approx(0.5e-3, rel=1e-3)
    b.present(Volts(2.0, limit_a=1e-3))  # drives 1 mA through the resistor and into a
    seen = b.look()
    assert seen.limited
    assert seen.voltage_v == pytest.approx(1.0, rel=1e-3)
    assert a.look().current_a == pytest.approx(0.0, abs=1e-6)


def test_current_goes_where_relays_are_closed(tmp_path: Path) -> None:
    wiring = ["smu.a -- matrix.A", *(f"matrix.{n} -- {n} kOhm -- ground" for n in (1, 2))]
    world = make_world(tmp_path, wiring)
    smu = world.terminal("smu.a")
    assert world.relays("matrix", frozenset({("A", 1)})) == 0.0
    smu.present(Volts(1.0))
    assert smu.look().current_a == pytest.approx(1.0 / (1000 + RELAY_OHM), rel=1e-6)
    assert world.relays("matrix", frozenset({("A", 2)})) == pytest.approx(1.0, rel=1e-6)
    assert smu.look().current_a == pytest.approx(1.0 / (2000 + RELAY_OHM), rel=1e-6)
    world.weld("matrix", frozenset({("A", 1)}))
    smu.present(Volts(0.0))
    assert world.relays("matrix", frozenset()) == pytest.approx(0.0, abs=1e-6)
    assert world.welded("matrix") == {("A", 1)}
    smu.present(Volts(1.0))
    assert smu.look().current_a == pytest.approx(1.0 / (1000 + RELAY_OHM), rel=1e-6)


def test_a_relay_that_opens_under_current_feels_the_source(tmp_path: Path) -> None:
    world = make_world(tmp_path, ["smu.a -- matrix.A", "matrix.1 -- 1 kOhm -- ground"])
    world.relays("matrix", frozenset({("A", 1)}))
    world.terminal("smu.a").present(Amperes(1e-3, limit_v=40.0))
    assert world.relays("matrix", frozenset()) == pytest.approx(40.0)


def test_looking_takes_the_aperture_and_switching_no_time(tmp_path: Path) -> None:
    world = make_world(tmp_path, ["smu.a -- 1 kOhm -- ground"])
    world.terminal("smu.a").present(Volts(1.0))
    assert world.now_ns == 0
    world.terminal("smu.a").look(0.02)
    assert world.now_ns == 20_000_000
    world.relays("matrix", frozenset({("A", 1)}))
    assert world.now_ns == 20_000_000


# ---- random networks: one operating point, within all limits, at which no node gains charge ----------------------
def circuit_of(seed: int) -> tuple[Circuit, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    n, resistors, cells, sources = (
        int(rng.integers(low, high)) for low, high in ((3, 8), (2, 9), (0, 5), (1, 5))
    )

    def pairs(count: int) -> tuple[np.ndarray, np.ndarray]:
        a = rng.integers(0, n, count)
        return a, (a + rng.integers(1, n, count)) % n

    (ra, rb), (ca, cb) = pairs(resistors), pairs(cells)
    node = rng.permutation(np.arange(1, n))[:sources].astype(np.int64)
    kind = rng.integers(0, 2, len(node))
    sizes = 10.0 ** rng.uniform(-7, -4, (cells, 1)) * np.array([1.0, 2.0])
    limit = np.where(
        kind == VOLTS, 10.0 ** rng.uniform(-7, -1, len(node)), 10.0 ** rng.uniform(-1, 1, len(node))
    )
    level = np.where(kind == VOLTS, rng.uniform(-3, 3, len(node)), rng.uniform(-1e-4, 1e-4, len(node)))
    ohm = np.where((kind == VOLTS) & (rng.random(len(node)) < 0.5), 50.0, 0.0)
    nothing = np.empty(0, np.int64)
    circuit = Circuit(
        np.full(n, 1e-15), np.zeros(n), np.zeros(n), ra, rb, 10.0 ** rng.uniform(-6, 0, resistors),
        ca, cb, sizes, nothing, nothing, nothing, node, kind, ohm, limit,
    )  # fmt: skip
    return circuit, level, rng.random(cells) < 0.5, rng.uniform(-5, 5, n)


def solved(
    c: Circuit, level: np.ndarray, on: np.ndarray, v: np.ndarray, mode: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    volts, sides, current = v.copy(), np.array(mode, np.int64), np.zeros(len(level))
    nothing = np.zeros(len(v))
    assert solve(c, level, sides, on, np.empty(0), nothing, nothing, volts, current)
    return volts, sides, current


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_kirchhoff_limits_and_uniqueness(seed: int) -> None:
    c, level, on, start = circuit_of(seed)
    v, side, current = solved(c, level, on, np.zeros(len(start)), [0] * len(level))
    left = np.empty(len(v))
    element_currents(c, on, np.empty(0), left * 0.0, left * 0.0, v, left, np.empty((0, 0)), False)
    into = np.bincount(c.node, current, len(v))
    largest = max(np.abs(current).max(), 1e-9)
    assert np.abs(left - into)[1:].max() <= 1e-9 * largest + 1e-15
    for s, at in enumerate(c.node):
        volts_at_source = v[at] + current[s] * c.ohm[s]
        if c.kind[s] == VOLTS:
            assert abs(current[s]) <= c.limit[s] * (1 + 1e-6)
            assert side[s] != 0 or volts_at_source == pytest.approx(level[s], abs=1e-9)
            assert side[s] == 0 or abs(current[s]) == pytest.approx(c.limit[s])
        else:
            assert c.kind[s] == AMPERES
            assert abs(v[at]) <= c.limit[s] * (1 + 1e-6)
            assert side[s] != 0 or current[s] == level[s]
    again, _, other = solved(
        c, level, on, start, list(np.random.default_rng(seed).integers(-1, 2, len(level)))
    )
    assert np.abs(again - v).max() <= 1e-7 * (1 + np.abs(v).max())
    assert np.abs(other - current).max() <= 1e-7 * largest + 1e-13


def test_a_cell_that_is_on_follows_its_dynamic_resistance() -> None:
    g_s, volts = 20e-6, 1.0
    empty = np.empty(0, np.int64)
    c = Circuit(
        np.full(2, 1e-15), np.zeros(2), np.zeros(2), empty, empty, np.empty(0), np.array([1]), np.array([0]),
        np.array([[g_s]]), empty, empty, empty, np.array([1]), np.array([VOLTS]), np.array([0.0]), np.array([1.0]),
    )  # fmt: skip
    for on, beyond in ((False, 0.0), (True, (volts - HOLD_V) / ON_OHM)):
        _, _, current = solved(c, np.array([volts]), np.array([on]), np.zeros(2), [0])
        assert current[0] == pytest.approx(g_s * volts + beyond, rel=1e-12)


def test_a_small_circuit_is_solved_in_microseconds() -> None:
    c, level, on, start = circuit_of(7)
    solved(c, level, on, start, [0] * len(level))
    volts, sides, current, nothing = (
        start.copy(),
        np.zeros(len(level), np.int64),
        np.zeros(len(level)),
        start * 0.0,
    )
    best = float("inf")
    for _ in range(20):
        begin = time.perf_counter()
        for _ in range(20):
            volts[:] = 0.0
            solve(c, level, sides, on, np.empty(0), nothing, nothing, volts, current)
        best = min(best, (time.perf_counter() - begin) / 20)
    assert best < 100e-6
