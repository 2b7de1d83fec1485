"""Memory cells at direct current: read through the circuit, switched by voltage, programmed by standing currents."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
import pyvisa
from bench_world import make_world, one

from calibration.card import DeviceCard
from drivers.bench import load_bench
from drivers.simulated import layout
from drivers.simulated.registry import open_bench
from drivers.simulated.state_file import StateFileError
from drivers.simulated.terminals import Amperes, Opened, Volts
from drivers.simulated.world.defaults import HOLD_V, ON_OHM
from drivers.simulated.world.world import World

IBM90 = "card: ibm90, seed: 3"
CARD = DeviceCard.load("ibm90")
DIRECT = ["smu.a -- chip.top0", "chip.bottom -- ground"]


def bench(folder: Path, chip: str = IBM90, *wires: str) -> World:
    return make_world(folder, wires or DIRECT, chip)


def test_each_look_is_one_read_with_its_own_noise_around_the_truth(tmp_path: Path) -> None:
    world = bench(tmp_path)
    chip = world.chips["chip"]
    chip.place(0, 10e-6, world.now_ns)
    smu = world.terminal("smu.a")
    smu.present(Volts(0.2, limit_a=1e-3))
    reads = chip.chip.arrays.count[0, layout.READS, 0]
    seen = np.array([smu.look(0.02).current_a for _ in range(50)])
    assert chip.chip.arrays.count[0, layout.READS, 0] - reads == 50
    assert chip.chip.arrays.count[0, layout.READS, 1] == 0
    assert len(np.unique(seen)) == 50
    truth_a = 0.2 * float(chip.truth_s(one(0), world.now_ns)[0])
    strength = float(CARD.read_noise.strength(0.4))
    assert seen.mean() == pytest.approx(truth_a, rel=5 * strength)
    assert 0.0 < seen.std() / truth_a < 5 * strength
    assert world.now_ns == 50 * 20_000_000


def test_what_is_read_is_what_the_chip_itself_shows(tmp_path: Path) -> None:
    world = bench(tmp_path, f"{IBM90}, without: all")
    chip = world.chips["chip"]
    smu = world.terminal("smu.a")
    for volts in (0.05, 0.2, -0.2, 0.3):
        for g_s in (0.2e-6, 3e-6, 12e-6, 25e-6):
            chip.place(0, g_s, world.now_ns)
            smu.present(Volts(volts, limit_a=1e-3))
            current, _ = chip.chip.read(
                one(0), np.array([world.now_ns + 10**7]), voltage_v=volts, samples=1, aperture_s=0.02, spacing_s=0.02,
                ranges_a=[1e-3], adc_bits=24, adc_zero=2**23,
            )  # fmt: skip
            assert smu.look(0.02).current_a == pytest.approx(float(current[0]), rel=2e-3)


def test_current_over_voltage_follows_the_law_of_the_card_up_to_the_holding_voltage(tmp_path: Path) -> None:
    world = bench(tmp_path, f"{IBM90}, without: [read_noise, drift, columns, lines]")
    chip = world.chips["chip"]
    smu = world.terminal("smu.a")
    chip.place(0, 1e-6, world.now_ns)
    currents = {}
    for volts in (0.1, 0.2, 0.4):
        smu.present(Volts(volts, limit_a=1e-3))
        currents[volts] = smu.look(0.001).current_a / volts
    law = CARD.current_voltage
    for volts, siemens in currents.items():
        expected = float(law.factor(1e-6 / CARD.g_max_s, volts))
        assert siemens / currents[0.2] == pytest.approx(expected, rel=1e-3)


def test_temperature_acts_at_once(tmp_path: Path) -> None:
    world = bench(tmp_path, f"{IBM90}, without: [read_noise, drift]")
    chip = world.chips["chip"]
    smu = world.terminal("smu.a")
    chip.place(0, 1e-6, world.now_ns)
    smu.present(Volts(0.2, limit_a=1e-3))
    cold = smu.look(0.001).current_a
    world.heat(310.0)
    hot = smu.look(0.001).current_a
    expected = float(CARD.temperature.factor(1e-6 / CARD.g_max_s, 310.0))
    assert hot / cold == pytest.approx(expected, rel=0.2)  # devices differ by 15 % of their activation energy
    assert hot > 1.2 * cold


def test_a_series_resistor_and_a_neighbour_do_what_ohm_says(tmp_path: Path) -> None:
    wires = ("smu.a -- 10 kOhm -- chip.top0", "smu.a -- 1 MOhm -- ground", "chip.bottom -- ground")
    world = bench(tmp_path, f"{IBM90}, without: [read_noise, drift, current_voltage]", *wires)
    chip = world.chips["chip"]
    chip.place(0, 20e-6, world.now_ns)
    smu = world.terminal("smu.a")
    smu.present(Volts(0.2, limit_a=1e-3))
    seen = smu.look(0.001).current_a
    g_s = float(chip.truth_s(one(0), world.now_ns)[0])
    assert seen == pytest.approx(0.2 / (1e4 + 1 / g_s) + 0.2e-6, rel=2e-3)


def test_cells_meet_at_a_floating_bottom(tmp_path: Path) -> None:
    wires = ("smu.a -- chip.top0", "chip.top1 -- ground", "chip.top2 -- smu.b")
    world = bench(tmp_path, f"{IBM90}, without: all", *wires)
    chip = world.chips["chip"]
    for cell in (0, 1):
        chip.place(cell, 10e-6, world.now_ns)
    smu = world.terminal("smu.a")
    smu.present(Volts(0.4, limit_a=1e-3))
    assert smu.look(0.001).current_a == pytest.approx(0.4 * 5e-6, rel=1e-3)


def test_a_cell_behind_open_relays_is_neither_seen_nor_read(tmp_path: Path) -> None:
    wires = ("smu.a -- matrix.A", "matrix.[1:4] -- chip.top[0:3]", "chip.bottom -- ground")
    world = bench(tmp_path, IBM90, *wires)
    chip = world.chips["chip"]
    smu = world.terminal("smu.a")
    smu.present(Volts(0.2, limit_a=1e-3))
    assert abs(smu.look(0.02).current_a) < 1e-12
    assert not chip.chip.arrays.count[0, layout.READS].any()
    smu.present(Volts(0.0, limit_a=1e-3))
    world.relays("matrix", frozenset({("A", 2)}))
    smu.present(Volts(0.2, limit_a=1e-3))
    assert smu.look(0.02).current_a > 1e-6
    assert chip.chip.arrays.count[0, layout.READS, :4].tolist() == [0, 1, 0, 0]


# ---- transistors ---------------------------------------------------------------------------------------------
GATED = ("smu.a -- chip.bl0", "gate.a -- chip.wl0", "gate.b -- chip.wl1", "chip.sl -- ground")


def test_a_transistor_opens_its_cell_and_limits_its_current(tmp_path: Path) -> None:
    world = make_world(tmp_path, GATED, f"{IBM90}, without: [read_noise, drift]", access="transistor")
    chip = world.chips["chip"]
    smu, gates = world.terminal("smu.a"), [world.terminal("gate.a"), world.terminal("gate.b")]
    smu.present(Volts(0.2, limit_a=1e-3))
    assert abs(smu.look(0.001).current_a) < 1e-12  # gates float
    gates[0].present(Volts(3.0))
    gates[1].present(Volts(0.0))
    g_s = float(chip.truth_s(one(0), world.now_ns)[0])
    overdrive = 3.0 - 0.7
    assert smu.look(0.001).current_a == pytest.approx(0.2 / (1 / g_s + 1 / (400e-6 * overdrive)), rel=5e-3)
    assert chip.chip.arrays.count[0, layout.READS, [0, 4]].tolist() == [1, 0]
    gates[0].present(Volts(0.0))
    gates[1].present(Volts(3.0))
    smu.look(0.001)
    assert chip.chip.arrays.count[0, layout.READS, [0, 4]].tolist() == [1, 1]
    gates[1].present(Volts(0.7 + np.sqrt(2 * 100e-6 / 400e-6)))
    smu.present(Volts(4.0, limit_a=1e-2))
    assert smu.look(0.0).current_a == pytest.approx(100e-6, rel=0.02)  # saturated


# ---- voltages that switch, and currents that stay ------------------------------------------------------------
def test_a_slow_sweep_switches_an_amorphous_cell_at_its_threshold(tmp_path: Path) -> None:
    thresholds = []
    world = bench(
        tmp_path, IBM90, "smu.a -- matrix.A", "matrix.[1:16] -- chip.top[0:15]", "chip.bottom -- ground"
    )
    chip = world.chips["chip"]
    smu = world.terminal("smu.a")
    for cell in range(16):
        smu.present(Volts(0.0, limit_a=50e-6))
        world.relays("matrix", frozenset({("A", cell + 1)}))
        chip.place(cell, 0.1e-6, world.now_ns)
        expected = float(chip.threshold_v(one(cell), world.now_ns)[0])
        for volts in np.arange(0.6, 2.0, 0.01):
            smu.present(Volts(volts, limit_a=50e-6))
            seen = smu.look(1e-3)
            if seen.limited:
                break
        assert expected <= volts <= expected + 0.02
        assert seen.current_a == pytest.approx(50e-6)
        assert HOLD_V < seen.voltage_v < HOLD_V + 50e-6 * ON_OHM  # snapped back onto the load line
        assert chip.chip.health(one(cell))[0] & layout.SWITCHED
        assert chip.truth_s(one(cell), world.now_ns)[0] > 10e-6
        thresholds.append(expected)
    law = CARD.threshold_switching
    median = float(law.voltage_v(0.1 / 25, CARD.drift.pulse_reference_age_s))
    assert np.mean(thresholds) == pytest.approx(median, rel=3 * law.spread / 4)
    assert np.std(thresholds) / median == pytest.approx(law.spread, rel=0.6)


def test_a_voltage_nobody_looked_at_switches_too_and_one_that_did_not_last_does_not(tmp_path: Path) -> None:
    world = bench(tmp_path)
    chip, smu = world.chips["chip"], world.terminal("smu.a")
    chip.place(0, 0.1e-6, world.now_ns)
    smu.present(Volts(2.0, limit_a=10e-6))
    smu.present(Volts(0.0, limit_a=10e-6))
    world.pass_s(1.0)
    assert chip.truth_s(one(0), world.now_ns)[0] < 0.2e-6
    smu.present(Volts(2.0, limit_a=10e-6))
    world.pass_s(1e-3)
    smu.present(Volts(0.0, limit_a=10e-6))
    assert chip.truth_s(one(0), world.now_ns)[0] > 10e-6


def test_a_standing_current_sets_a_cell_and_counts_as_one_pulse(tmp_path: Path) -> None:
    world = bench(tmp_path)
    chip, smu = world.chips["chip"], world.terminal("smu.a")
    chip.place(0, 0.1e-6, world.now_ns)
    for volts in np.arange(0.0, 2.5, 0.05):
        smu.present(Volts(volts, limit_a=300e-6))
        smu.look(1e-3)
    assert chip.chip.pulses(one(0))[0] == 0
    smu.present(Opened())
    world.pass_s(1e-3)
    assert chip.chip.pulses(one(0))[0] == 1
    full = float(chip.chip.arrays.device[0, layout.FULL, 0])
    assert chip.truth_s(one(0), world.now_ns)[0] > 0.7 * full  # it fell too slowly to stay amorphous


def test_too_much_current_opens_a_cell_at_once(tmp_path: Path) -> None:
    world = bench(tmp_path)
    chip, smu = world.chips["chip"], world.terminal("smu.a")
    smu.present(Amperes(600e-6, limit_v=10.0))
    assert smu.look(1e-3).current_a == pytest.approx(600e-6)
    smu.present(Amperes(1e-3, limit_v=10.0))
    seen = smu.look(1e-3)
    assert seen.limited
    assert seen.voltage_v == 10.0
    assert chip.chip.health(one(0))[0] == layout.STUCK_OPEN


def test_a_held_voltage_disturbs_as_long_as_it_is_held(tmp_path: Path) -> None:
    # By the card: a lifetime of 1 s at 0.7 V, e-fold in 30 mV
    world = bench(tmp_path, f"{IBM90}, without: [read_noise, drift]")
    chip, smu = world.chips["chip"], world.terminal("smu.a")
    chip.place(0, 0.1e-6, world.now_ns)
    smu.present(Volts(0.7, limit_a=1e-3))
    world.pass_s(1.0)
    smu.present(Volts(0.0))
    dose = float(chip.chip.arrays.state[0, layout.DOSE, 0])
    assert dose == pytest.approx(float(CARD.read_disturb.dose(0.7, 1.0)), rel=1e-2)
    world.pass_s(100.0)
    smu.present(Volts(0.1))
    assert float(chip.chip.arrays.state[0, layout.DOSE, 0]) == dose


# ---- the chip itself -----------------------------------------------------------------------------------------
def test_resistors_stand_at_reference_rows(tmp_path: Path) -> None:
    path = tmp_path / "bench.yaml"
    world = bench(tmp_path)
    world.close()
    path.write_text(path.read_text() + "references: {rows: {0: 5 uS}, tolerance: 0.1 %}\n")
    smu = World(load_bench(path)).terminal("smu.a")
    smu.present(Volts(2.0, limit_a=1e-3))
    assert smu.look(0.02).current_a == pytest.approx(10e-6, rel=3e-3)


def test_a_chip_lives_in_its_file_and_keeps_others_out(tmp_path: Path) -> None:
    chip = f"{IBM90}, state: chip.pcm"
    world = bench(tmp_path, chip)
    with pytest.raises(StateFileError, match="open in another program"):
        bench(tmp_path, chip)
    world.chips["chip"].place(0, 7e-6, world.now_ns)
    world.pass_s(100.0)
    truth = world.chips["chip"].truth_s(one(0), world.now_ns)[0]
    world.close()
    again = bench(tmp_path, chip)
    assert again.now_ns == 0
    assert again.chips["chip"].truth_s(one(0), again.now_ns)[0] == truth
    again.pass_s(1e6)
    assert again.chips["chip"].truth_s(one(0), again.now_ns)[0] < 0.7 * truth
    again.close()


def test_the_same_bench_shows_the_same_numbers(tmp_path: Path) -> None:
    def life() -> list[float]:
        world = bench(tmp_path)
        smu = world.terminal("smu.a")
        smu.present(Volts(0.2, limit_a=1e-3))
        return [*(smu.look(0.02).current_a for _ in range(5)), float(world.random("smu", "a").normal())]

    assert life() == life()


def test_a_chip_that_knows_no_pulses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mode: physics"):
        bench(tmp_path, f"{IBM90}, mode: target-shortcut")


def test_a_program_reads_a_cell_through_the_twin_of_a_source_meter(tmp_path: Path) -> None:
    path = tmp_path / "bench.yaml"
    path.write_text(
        "version: 1\nname: t\ninstruments:\n"
        '  smu: {driver: keithley-2600, address: "TCPIP0::smu::5025::SOCKET", backend: "@pcm",'
        " simulated: {model: keithley-2636b}}\n"
        '  chip: {driver: discrete, rows: 2, cols: 2, smu: smu.a, pulser: smu.b, backend: "@pcm",'
        f" simulated: {{model: pcm-cells, rows: 2, cols: 2, {IBM90}}}}}\n"
        "wiring: [smu.a -- chip.top0, chip.bottom -- ground]\n"
    )
    with open_bench(path) as held, contextlib.closing(pyvisa.ResourceManager(f"{path}@pcm")) as manager:
        world = held.world
        world.chips["chip"].place(0, 10e-6, world.now_ns)
        resource = manager.open_resource("TCPIP0::smu::5025::SOCKET")
        assert isinstance(resource, pyvisa.resources.MessageBasedResource)
        resource.read_termination = resource.write_termination = "\n"
        for line in ("smua.source.levelv=0.2", "smua.source.limiti=1e-3", "smua.source.output=1"):
            resource.write(line)
        seen = np.array([float(resource.query("print(smua.measure.i())")) for _ in range(5)])
        truth_a = 0.2 * float(world.chips["chip"].truth_s(one(0), world.now_ns)[0])
    assert len(np.unique(seen)) == 5
    assert seen == pytest.approx(truth_a, rel=0.15)
