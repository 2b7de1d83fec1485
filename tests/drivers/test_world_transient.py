"""Pulses through the circuit: edges, load lines, snap-back, and what the current does to the cells."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_world import make_world, one, trapezoid

from calibration.card import DeviceCard
from drivers.simulated import layout
from drivers.simulated.chip import SimulatedChip
from drivers.simulated.terminals import Resistor, Seen, Volts, Wave
from drivers.simulated.world.burst import _shares
from drivers.simulated.world.cells import Cells
from drivers.simulated.world.defaults import DELAY_S, HOLD_V, ON_OHM, PAD_F
from drivers.simulated.world.pulse_shape import pulses_of
from drivers.simulated.world.world import World

CARD = DeviceCard.load("ibm90")
IBM90 = "card: ibm90, seed: 3"
LOAD_OHM = 3300.0
PROBED = (
    "pulser.1 -- scope.1",
    "pulser.1 -- 3.3 kOhm -- chip.top0",
    "chip.top0 -- scope.2",
    "chip.bottom -- ground",
)
PATH_OHM = 50.0 + LOAD_OHM


def bench(folder: Path, chip: str = IBM90) -> tuple[World, Cells]:
    world = make_world(folder, PROBED, chip)
    return world, world.chips["chip"]


def probed(folder: Path, chip: str = IBM90) -> tuple[World, Cells]:
    world, cells = bench(folder, chip)
    for channel in ("scope.1", "scope.2"):
        world.terminal(channel).present(Resistor(100e6))
    return world, cells


def at(seen: Seen, t_s: float) -> tuple[float, float]:
    return float(np.interp(t_s, seen.t_s, seen.voltage_v)), float(np.interp(t_s, seen.t_s, seen.current_a))


# ---- plain circuits ------------------------------------------------------------------------------------------
def test_a_pulse_into_a_resistor_is_divided(tmp_path: Path) -> None:
    world = make_world(tmp_path, ["pulser.1 -- 50 Ohm -- scope.1"])
    world.terminal("scope.1").present(Resistor(50.0))
    seen = world.play({"pulser.1": trapezoid(3.0)})["pulser.1"]
    assert at(seen, 100e-9) == pytest.approx((2.0, 0.02))
    assert at(seen, 25e-9) == pytest.approx((1.0, 0.01))
    trace = world.terminal("scope.1").trace()
    assert trace is not None
    assert at(trace, 100e-9) == pytest.approx((1.0, -0.02))
    assert world.now_ns == 335
    assert not seen.limited.any()


def test_a_current_limit_acts_within_the_pulse(tmp_path: Path) -> None:
    world = make_world(tmp_path, ["pulser.1 -- 1 kOhm -- ground"])
    wave = trapezoid(2.0, series_ohm=0.0)
    limited = Wave(wave.t_s, wave.level_v, limit_a=1e-3)
    seen = world.play({"pulser.1": limited})["pulser.1"]
    assert at(seen, 100e-9) == pytest.approx((1.0, 1e-3))
    assert seen.limited[np.searchsorted(seen.t_s, 100e-9)]
    assert not seen.limited[0]


def test_the_pad_charges_through_the_load(tmp_path: Path) -> None:
    world = make_world(tmp_path, ["pulser.1 -- 100 kOhm -- chip.top0", "scope.2 -- chip.top0"], IBM90)
    world.terminal("scope.2").present(Resistor(1e12))
    world.chips["chip"].place(0, 1e-9, world.now_ns)
    t_s = np.array([0.0, 10e-9, 10e-9, 2e-6])
    world.play({"pulser.1": Wave(t_s, np.array([0.0, 0.0, 1.0, 1.0]))})
    trace = world.terminal("scope.2").trace()
    assert trace is not None
    constant_s = 100e3 * PAD_F
    for t in (100e-9, 400e-9, 1e-6):
        expected = -np.expm1(-(t - 10e-9) / constant_s)
        assert at(trace, t)[0] == pytest.approx(expected, abs=0.02)


def test_nothing_reaches_a_scope_that_is_not_connected(tmp_path: Path) -> None:
    world = make_world(tmp_path, ["pulser.1 -- 50 Ohm -- ground", "scope.1 -- 50 Ohm -- ground"])
    world.terminal("scope.1").present(Resistor(50.0))
    world.play({"pulser.1": trapezoid(3.0)})
    assert world.terminal("scope.1").trace() is None
    assert world.terminal("pulser.1").trace() is not None


def test_the_last_level_stays(tmp_path: Path) -> None:
    world = make_world(tmp_path, ["pulser.1 -- 50 Ohm -- ground"])
    world.play({"pulser.1": Wave(np.array([0.0, 1e-6]), np.array([0.0, 2.0]), 50.0, count=3, period_s=1e-3)})
    assert world.now_ns == 2_001_000
    assert world.terminal("pulser.1").look().voltage_v == pytest.approx(1.0)


# ---- cells -----------------------------------------------------------------------------------------------------
def test_snap_back_follows_the_load_line(tmp_path: Path) -> None:
    world, cells = probed(tmp_path)
    cells.place(0, 0.1e-6, world.now_ns)
    threshold_v = float(cells.threshold_v(one(0), world.now_ns)[0])
    seen = world.play({"pulser.1": trapezoid(2.0, rise_s=100e-9)})["pulser.1"]
    trace = world.terminal("scope.2").trace()
    assert trace is not None
    top = int(np.argmax(trace.voltage_v))
    # the ramp goes on for the delay, and the pad lags behind it
    assert threshold_v < trace.voltage_v[top] < threshold_v + 2.0 / 100e-9 * (DELAY_S + 1e-9)
    plateau_v = (2.0 * ON_OHM + HOLD_V * PATH_OHM) / (PATH_OHM + ON_OHM)
    volts, amperes = at(trace, 200e-9)[0], at(seen, 200e-9)[1]
    assert volts == pytest.approx(plateau_v, rel=5e-3)
    assert amperes == pytest.approx((2.0 - volts) / PATH_OHM, rel=5e-3)
    after = slice(top, int(np.searchsorted(trace.t_s, trace.t_s[top] + 20e-9)))
    assert trace.voltage_v[top] - trace.voltage_v[after].min() > 0.3  # it collapsed
    assert seen.current_a[after].max() - seen.current_a[top] > 80e-6
    # in between, voltage and current stay on the load line but for what the pad gives and takes
    collapsed = int(np.searchsorted(trace.t_s, trace.t_s[top] + 30e-9))
    behind = slice(collapsed, int(np.searchsorted(trace.t_s, 300e-9)))
    open_v = np.interp(seen.t_s, [20e-9, 120e-9], [0.0, 2.0])
    line_a = (open_v - trace.voltage_v) / PATH_OHM
    assert seen.current_a[behind] == pytest.approx(line_a[behind], rel=0.01)


def test_a_crystalline_cell_does_not_snap(tmp_path: Path) -> None:
    world, _ = probed(tmp_path)
    world.play({"pulser.1": trapezoid(1.2, rise_s=100e-9)})
    trace = world.terminal("scope.2").trace()
    assert trace is not None
    ramp = trace.voltage_v[: np.searchsorted(trace.t_s, 120e-9)]
    assert np.diff(ramp).min() > -1e-6


def test_a_pulse_below_threshold_programmes_nothing_but_is_counted_and_strains(tmp_path: Path) -> None:
    world, cells = bench(tmp_path, f"{IBM90}, without: [read_noise, drift]")
    cells.place(0, 0.1e-6, world.now_ns)
    world.play({"pulser.1": trapezoid(0.95, top_s=1e-6, count=4, period_s=2e-6)})
    assert cells.truth_s(one(0), world.now_ns)[0] < 0.2e-6
    assert cells.chip.pulses(one(0))[0] == 4
    # 4 us of 0.95 V are 4e-6 e^((0.95 - 0.7) / 0.03) lifetimes
    dose = float(cells.chip.arrays.state[0, layout.DOSE, 0])
    peak_v = 0.95 * (1.0 - 2e-3)  # what the cell takes of it
    assert dose == pytest.approx(4e-6 * np.exp((peak_v - 0.7) / 0.03), rel=0.2)


def test_a_read_pulse_is_a_read_with_noise_and_no_pulse(tmp_path: Path) -> None:
    world, cells = bench(tmp_path)
    cells.place(0, 10e-6, world.now_ns)
    seen = [world.play({"pulser.1": trapezoid(0.2, top_s=1e-6)})["pulser.1"] for _ in range(20)]
    currents = np.array([at(each, 600e-9)[1] for each in seen])
    assert len(np.unique(currents)) == 20
    g_s = float(cells.truth_s(one(0), world.now_ns)[0])
    assert currents.mean() == pytest.approx(0.2 / (1 / g_s + PATH_OHM), rel=0.15)
    assert cells.chip.pulses(one(0))[0] == 0
    assert cells.chip.arrays.count[0, layout.READS, 0] == 20


@pytest.mark.parametrize("open_v", [0.8, 1.05, 2.0, 2.4])
def test_the_plateau_current_programmes_as_a_board_would(
    tmp_path: Path, open_v: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same current, width and edge through SimulatedChip gives the same conductance."""
    world, cells = bench(tmp_path)
    given: list[dict[str, float]] = []
    pulse = cells.chip.pulse

    def noted(*arguments: Any, **shape: Any) -> None:
        given.append(shape)
        pulse(*arguments, **shape)

    monkeypatch.setattr(cells.chip, "pulse", noted)
    twin = SimulatedChip.create(CARD, banks=1, rows=4, cols=4, seed=3)
    seen = world.play({"pulser.1": trapezoid(open_v)})["pulser.1"]
    plateau_a = at(seen, 150e-9)[1]
    (shape,) = given
    assert shape["top_s"] + 0.5 * (shape["rise_s"] + shape["fall_s"]) == pytest.approx(207e-9, abs=15e-9)
    twin.pulse(
        one(0), np.array([plateau_a], np.float32), np.array([world.now_ns - 100], np.int64),
        **shape,
    )  # fmt: skip
    expected = float(twin.truth(one(0), world.now_ns)[0])
    assert float(cells.truth_s(one(0), world.now_ns)[0]) == pytest.approx(expected, rel=0.03)
    assert cells.chip.pulses(one(0))[0] == 1


def test_a_population_programmed_through_the_circuit_is_that_of_the_board(tmp_path: Path) -> None:
    wires = ["pulser.1 -- 3.3 kOhm -- matrix.A", "matrix.[1:64] -- chip.top[0:63]", "chip.bottom -- ground"]
    world = make_world(tmp_path, wires, IBM90, rows=8, cols=8)
    cells = world.chips["chip"]
    board = SimulatedChip.create(CARD, banks=1, rows=8, cols=8, seed=4)
    everyone = np.arange(64, dtype=np.uint32)
    plateaus = []
    for cell in everyone:
        world.relays("matrix", frozenset({("A", int(cell) + 1)}))
        seen = world.play({"pulser.1": trapezoid(2.15)})["pulser.1"]
        plateaus.append(at(seen, 150e-9)[1])
    mean_a = float(np.mean(plateaus))
    board.pulse(
        everyone,
        np.full(64, mean_a, np.float32),
        np.zeros(64, np.int64),
        rise_s=0.0,
        top_s=200e-9,
        fall_s=5e-9,
    )
    here = cells.chip.arrays.state[:, layout.CONDUCTANCE].reshape(-1)[:64]
    there = board.arrays.state[:, layout.CONDUCTANCE].reshape(-1)[:64]
    assert 250e-6 < mean_a < 350e-6
    error = np.hypot(here.std(), there.std()) / 8.0
    assert abs(here.mean() - there.mean()) < 3.5 * error


def test_reset_and_set_through_a_load(tmp_path: Path) -> None:
    world, cells = bench(tmp_path)
    world.play({"pulser.1": trapezoid(3.1)})
    assert cells.truth_s(one(0), world.now_ns)[0] < 2e-6
    world.pass_s(1.0)
    world.play({"pulser.1": trapezoid(0.9)})  # does not switch
    assert cells.truth_s(one(0), world.now_ns)[0] < 2e-6
    world.play({"pulser.1": trapezoid(1.6, top_s=5e-6)})
    assert cells.truth_s(one(0), world.now_ns)[0] > 10e-6


def test_a_long_trailing_edge_crystallises_what_it_molt(tmp_path: Path) -> None:
    world, cells = bench(tmp_path)
    world.play({"pulser.1": trapezoid(3.1, fall_s=5e-6)})
    full = float(cells.chip.arrays.device[0, layout.FULL, 0])
    assert cells.truth_s(one(0), world.now_ns)[0] > 0.9 * full


def test_many_pulses_wear_as_many_and_cost_few_transients(tmp_path: Path) -> None:
    assert _shares(1) == [1]
    assert _shares(2) == [1, 1]
    assert _shares(1000) == [1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 487, 1]
    assert [sum(_shares(n)) for n in range(1, 40)] == list(range(1, 40))
    world, cells = bench(tmp_path)
    world.play({"pulser.1": trapezoid(2.0)})
    begin = time.perf_counter()
    world.play({"pulser.1": trapezoid(1.4, count=1000, period_s=10e-6)})
    assert time.perf_counter() - begin < 2.0
    assert cells.chip.pulses(one(0))[0] == 1001
    assert world.now_ns == pytest.approx(9_990_000, abs=1000)


def test_the_first_pulse_switches_and_the_last_one_shows_what_it_left(tmp_path: Path) -> None:
    world, cells = probed(tmp_path)
    cells.place(0, 0.1e-6, world.now_ns)
    last = world.play({"pulser.1": trapezoid(1.8, rise_s=100e-9, count=60, period_s=1e-6)})["pulser.1"]
    first = world.terminal("scope.1").trace()
    assert first is not None
    early = (
        20e-9 + 100e-9 * 0.6
    )  # at 60 % of the edge the amorphous cell blocks, the crystallised one conducts
    assert at(last, early)[1] > 50e-6
    assert at(first, early)[0] == pytest.approx(1.8 * 0.6, rel=0.01)


def test_over_current_in_a_pulse_opens_the_cell(tmp_path: Path) -> None:
    world, cells = bench(tmp_path)
    world.play({"pulser.1": trapezoid(6.0)})
    assert cells.chip.health(one(0))[0] == layout.STUCK_OPEN
    seen = world.play({"pulser.1": trapezoid(1.0)})["pulser.1"]
    assert abs(at(seen, 150e-9)[1]) < 1e-9


def test_a_transistor_limits_the_pulse(tmp_path: Path) -> None:
    wires = ("pulser.1 -- chip.bl0", "gate.a -- chip.wl0", "chip.sl -- ground")
    world = make_world(tmp_path, wires, IBM90, access="transistor")
    world.terminal("gate.a").present(Volts(0.7 + np.sqrt(2 * 300e-6 / 400e-6)))
    seen = world.play({"pulser.1": trapezoid(3.3)})["pulser.1"]
    assert at(seen, 150e-9)[1] == pytest.approx(300e-6, rel=0.05)
    assert world.chips["chip"].chip.pulses(np.array([0, 4], np.uint32)).tolist() == [1, 0]
    world.terminal("gate.a").present(Volts(0.0))
    seen = world.play({"pulser.1": trapezoid(3.3)})["pulser.1"]
    assert abs(at(seen, 150e-9)[1]) < 1e-9


def test_several_pulses_in_one_wave_act_one_after_the_other(tmp_path: Path) -> None:
    world, cells = bench(tmp_path)
    reset, low = trapezoid(3.1), trapezoid(1.6, top_s=5e-6)
    both = Wave(
        np.concatenate([reset.t_s, 2e-6 + low.t_s]), np.concatenate([reset.level_v, low.level_v]), 50.0
    )
    world.play({"pulser.1": both})
    assert cells.chip.pulses(one(0))[0] == 2
    assert cells.truth_s(one(0), world.now_ns)[0] > 10e-6


def test_a_loop_of_relaxation_ends(tmp_path: Path) -> None:
    """A load too large to hold the cell on makes it oscillate; the transient comes to its end all the same."""
    wires = ("pulser.1 -- 1 MOhm -- chip.top0", "chip.bottom -- ground", "scope.2 -- chip.top0")
    world = make_world(tmp_path, wires, f"{IBM90}, without: [read_noise]")
    cells = world.chips["chip"]
    cells.place(0, 0.1e-6, world.now_ns)
    world.terminal("scope.2").present(Resistor(1e9))
    world.play({"pulser.1": trapezoid(10.0, top_s=1e-3)})
    trace = world.terminal("scope.2").trace()
    assert trace is not None
    assert trace.t_s[-1] == pytest.approx(1e-3 + 135e-9)
    assert trace.voltage_v.max() > 0.9
    assert np.count_nonzero(np.diff(np.sign(trace.voltage_v - 0.7))) > 4


# ---- from currents to pulses --------------------------------------------------------------------------------
def test_a_trapezoid_is_found_again() -> None:
    t_s = np.unique(np.concatenate([np.linspace(0, 1e-6, 4001), [50e-9, 70e-9, 370e-9, 375e-9]]))
    current = np.interp(t_s, [0, 50e-9, 70e-9, 370e-9, 375e-9, 1e-6], [0, 0, 3e-4, 3e-4, 0, 0])
    (shape,) = pulses_of(t_s, -current, 25e-6)
    assert shape.amplitude_a == pytest.approx(3e-4)
    assert (shape.rise_s, shape.top_s, shape.fall_s) == pytest.approx((20e-9, 300e-9, 5e-9), rel=1e-3)
    assert shape.end_s == pytest.approx(375e-9, abs=1e-9)


def test_a_short_overshoot_does_not_heat() -> None:
    t_s = np.linspace(0, 1e-6, 10_001)
    current = np.where((t_s > 2e-7) & (t_s < 8e-7), 2e-4, 0.0) + np.where(
        (t_s > 2e-7) & (t_s < 2.03e-7), 3e-4, 0.0
    )
    (shape,) = pulses_of(t_s, current, 25e-6)
    assert shape.amplitude_a == pytest.approx(2e-4)
    assert shape.top_s == pytest.approx(6e-7, rel=1e-2)


def test_nothing_below_the_floor_is_a_pulse() -> None:
    t_s = np.linspace(0, 1e-6, 101)
    assert pulses_of(t_s, np.full(101, 24e-6), 25e-6) == []
