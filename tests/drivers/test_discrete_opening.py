"""Opening a chip made of instruments from its bench file, and the side door of its simulation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import pyvisa

from drivers.bench import load_bench
from drivers.chip import Batch, Pulse, ReadSetup
from drivers.discrete import DiscreteChip, DiscreteSettings
from drivers.discrete_opening import journal_of, open_discrete
from drivers.discrete_routes import Sockets, ways_through
from drivers.discrete_simulation import SIMULATION_ADDRESS, BenchSimulation
from drivers.errors import InstrumentError, LinkError, LoadMismatch, WiringError
from drivers.instruments import open_instrument
from drivers.sim_control import SimControl
from drivers.simulated.registry import open_bench
from labkit.station import Station

BENCH = """
version: 1
name: one cell
instruments:
  cell:
    driver: discrete
    backend: "@pcm"
    rows: 1
    cols: 1
    smu: smu.a
    pulser: pulser.1
    simulated: {model: pcm-cells, card: ibm90, rows: 1, cols: 1, seed: 5}
  smu:
    driver: keithley-2600
    address: TCPIP0::smu::5025::SOCKET
    backend: "@pcm"
    simulated: {model: keithley-2636b}
  pulser:
    driver: keysight-81160a
    address: TCPIP0::pulser::5025::SOCKET
    backend: "@pcm"
    simulated: {model: keysight-81160a}
wiring:
  - smu.a -- cell.top0
  - pulser.1 -- 3.3 kOhm -- cell.top0
  - cell.bottom -- ground
"""
CELL = np.zeros(1, np.uint32)


def bench_file(folder: Path, *changes: tuple[str, str]) -> Path:
    text = BENCH
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "bench.yaml"
    path.write_text(text)
    return path


def test_one_cell_on_a_source_meter_and_a_generator(tmp_path: Path) -> None:
    lines: list[str] = []
    with open_discrete(load_bench(bench_file(tmp_path)), "cell", transcript=lines) as chip:
        assert chip.identify().model == "discrete 81160A+2636B"
        assert chip.identify().serial.startswith("cell/")
        assert set(chip.instruments) == {"smu", "pulser"}
        assert {line.split()[0] for line in lines} == {"cell", "smu", "pulser"}
        control = SimControl(chip)  # type: ignore[arg-type]
        chip.power(True)
        chip.outputs(True)
        before = chip.read(CELL, ReadSetup(samples=4))
        assert before.g_s[0] == pytest.approx(control.truth_s(CELL)[0], rel=0.2)
        assert before.t_ns is not None
        pulse = Pulse(rise_s=5e-9, top_s=60e-9, fall_s=5e-9, period_s=1e-6, full_scale=450e-6)
        chip.program(Batch(1, CELL, pulse, np.full(1, 4.5e-4, np.float32)))
        control.advance(1.0)
        assert control.pulses(CELL)[0] == 1
        after = chip.read(CELL, ReadSetup(samples=4, aperture_s=1e-3))
        assert after.g_s[0] < 0.1 * before.g_s[0]
        # Read noise of a RESET cell, a quarter of its conductance (device-physics §2.3), is in the reading.
        assert after.g_s[0] == pytest.approx(control.truth_s(CELL)[0], rel=0.75)
        chip.safe()


K4200 = """
  k4200:
    driver: keithley-4200a
    address: TCPIP0::k4200::1225::SOCKET
    backend: "@pcm"
    simulated: {model: keithley-4200a}
"""
B1500 = """
  b1500:
    driver: keysight-b1500a
    address: GPIB0::17::INSTR
    backend: "@pcm"
    simulated: {model: keysight-b1500a}
"""
ANALYSERS = {"4200": (K4200, "k4200.smu1", "k4200.pmu1_1"), "b1500": (B1500, "b1500.1", "b1500.501")}


@pytest.mark.parametrize("kind", ["4200", "b1500"])
def test_one_analyser_that_reads_and_pulses(tmp_path: Path, kind: str) -> None:
    section, smu, pulser = ANALYSERS[kind]
    start, end = BENCH.index("  smu:\n"), BENCH.index("wiring:")
    text = BENCH[:start] + section.lstrip("\n") + BENCH[end:]
    path = tmp_path / "bench.yaml"
    path.write_text(text.replace("smu.a", smu).replace("pulser.1", pulser))
    with open_discrete(load_bench(path), "cell") as chip:
        assert len(chip.instruments) == 1
        chip.power(True)
        chip.outputs(True)
        control = SimControl(chip)  # type: ignore[arg-type]
        setup = ReadSetup(samples=4, aperture_s=1e-3, range_a=1e-5)
        before = chip.read(CELL, setup).g_s[0]
        pulse = Pulse(rise_s=3e-8, top_s=60e-9, fall_s=3e-8, period_s=1e-5, full_scale=450e-6)
        chip.program(Batch(1, CELL, pulse, np.full(1, 4.2e-4, np.float32)))
        control.advance(1.0)
        after = chip.read(CELL, setup).g_s[0]
        assert after < 0.5 * before
        assert after == pytest.approx(control.truth_s(CELL)[0], rel=0.2)
        assert control.pulses(CELL)[0] == chip.cycles(CELL)[0] == 1
        assert chip.errors() == []


def test_how_many_messages_a_cell_costs_does_not_depend_on_samples(tmp_path: Path) -> None:
    with open_discrete(load_bench(bench_file(tmp_path)), "cell") as chip:
        chip.power(True)
        chip.outputs(True)
        costs = []
        for samples in (1, 1, 100):
            messages = chip.messages()
            chip.read(CELL, ReadSetup(samples=samples))
            costs.append(chip.messages() - messages)
        assert costs[1] == costs[2] <= 12


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([("  - cell.bottom -- ground\n", "")], "nothing leads from cell.bottom to ground"),
        ([("  - smu.a -- cell.top0\n", "")], "nothing leads from smu.a to cell.top0"),
        ([("smu: smu.a", "smu: smu.c"), ("- smu.a", "- smu.b")], "nothing leads from smu.c"),
        ([("smu: smu.a", "smu: meter.a")], "nothing leads from meter.a"),
        ([("smu: smu.a", "smu: pulser.1"), ("pulser: pulser.1", "pulser: smu.a")], "a Smu, which is no PulseSource"),
        ([("- smu.a --", "- pulser.1 -- 50 Ohm -- cell.bottom\n  - smu.a --")], "only a load right at its output"),
    ],
)  # fmt: skip
def test_what_the_bench_file_does_not_say_right(
    tmp_path: Path, changes: list[tuple[str, str]], said: str
) -> None:
    with pytest.raises(WiringError, match=said):
        open_discrete(load_bench(bench_file(tmp_path, *changes)), "cell")
    assert not open_bench_is_held(tmp_path)


def open_bench_is_held(folder: Path) -> bool:
    """Whether anybody still holds the simulated bench: a link was left open."""
    with open_bench(folder / "bench.yaml") as bench:
        return bench.holders > 1


def test_a_load_that_somebody_set_and_the_wiring_does_not_show(tmp_path: Path) -> None:
    path = bench_file(tmp_path)
    bench = load_bench(path)
    with open_bench(path):
        entry = bench.instruments["pulser"]
        generator = open_instrument(entry, path)  # type: ignore[arg-type]
        generator.parts()["1"].load_ohm = 75.0  # type: ignore[attr-defined]
        generator.close()
        with pytest.raises(LoadMismatch, match="75 Ohm and the wiring shows inf Ohm") as caught:
            open_discrete(bench, "cell")
        assert caught.value.set_ohm == 75.0
    path = bench_file(tmp_path, ("wiring:", "wiring:\n  - pulser.1 -- 50 Ohm -- ground"))
    with open_discrete(load_bench(path), "cell") as chip:
        assert chip.settings.load_ohm == 50.0


def test_real_and_simulated_do_not_mix(tmp_path: Path) -> None:
    path = bench_file(tmp_path, ('    backend: "@pcm"\n    rows', '    backend: "@py"\n    rows'))
    with pytest.raises(WiringError, match="or both are simulated"):
        open_discrete(load_bench(path), "cell")


def test_where_the_journal_is_kept(tmp_path: Path) -> None:
    path = bench_file(tmp_path)
    assert journal_of(load_bench(path), "cell") is None
    path = bench_file(tmp_path, ("seed: 5", "seed: 5, state: cells.state"))
    assert journal_of(load_bench(path), "cell") == tmp_path / "cells.state.journal"
    path = bench_file(tmp_path, ('    backend: "@pcm"\n    rows', '    backend: "@py"\n    rows'))
    assert journal_of(load_bench(path), "cell") == tmp_path / "bench.cell.journal"
    path = bench_file(tmp_path, ("    rows: 1", "    journal: kept/here\n    rows: 1"))
    assert journal_of(load_bench(path), "cell") == tmp_path / "kept" / "here"


def test_what_no_instrument_tells_stands_in_the_bench_file(tmp_path: Path) -> None:
    said = "    on_resistance: 1.5 kOhm\n    holding_voltage: 350 mV\n    read_limit: 20 uA\n    noise_floor: 1 nA\n"
    path = bench_file(tmp_path, ("    rows: 1", f"{said}    word_line_read: 1.2 V\n    rows: 1"))
    with open_discrete(load_bench(path), "cell") as chip:
        assert chip.settings == DiscreteSettings(
            on_ohm=1500.0,
            holding_v=0.35,
            read_limit_a=20e-6,
            noise_floor_a=1e-9,
            word_line_read_v=1.2,
            current_max_a=460e-6,
        )


def test_cells_with_a_state_file_live_on_with_their_journal(tmp_path: Path) -> None:
    path = bench_file(tmp_path, ("seed: 5", "seed: 5, state: cells.state"))
    pulse = Pulse(rise_s=5e-9, top_s=60e-9, fall_s=5e-9, period_s=1e-6, full_scale=450e-6)
    with open_discrete(load_bench(path), "cell") as chip:
        chip.power(True)
        chip.outputs(True)
        chip.program(Batch(1, CELL, pulse, np.full(1, 3e-4, np.float32), 3))
        ended_ns, boot_id = chip.last_batch().t_end_ns, chip.boot_id()
    with open_discrete(load_bench(path), "cell") as chip:
        assert chip.cycles(CELL)[0] == 3 == SimControl(chip).pulses(CELL)[0]  # type: ignore[arg-type]
        assert chip.boot_id() == boot_id
        assert chip.clock_ns() > ended_ns
        assert chip.next_batch_id() == 2


def test_a_scope_watches_and_a_thermometer_tells(tmp_path: Path) -> None:
    more = """
  scope:
    driver: tektronix-scope
    address: TCPIP0::scope::4000::SOCKET
    backend: "@pcm"
    simulated: {model: tektronix-mso5204}
  stage:
    driver: lakeshore-336
    address: TCPIP0::stage::7777::SOCKET
    backend: "@pcm"
    simulated: {model: lakeshore-336}
wiring:
  - scope.1 -- pulser.1
"""
    path = bench_file(
        tmp_path,
        ("pulser: pulser.1", "pulser: pulser.1\n    scope: scope.1\n    thermometer: stage.A"),
        ("\nwiring:\n", more),
    )
    with Station(load_bench(path)) as station:
        station.energise()
        chip = station.chip
        assert chip.temperature_k() == pytest.approx(296.0, abs=0.5)
        inner = chip.chip
        assert isinstance(inner, DiscreteChip)
        inner.instruments["scope"].parts()["1"].scale_v = 1.0
        inner.watch(True)
        pulse = Pulse(rise_s=5e-9, top_s=70e-9, fall_s=5e-9, period_s=1e-6, full_scale=450e-6)
        chip.program(Batch(1, CELL, pulse, np.full(1, 4.4e-4, np.float32)))
        trace = inner.trace()
        open_v = 0.4 + 4.4e-4 * (50 + 1 + 2600 + 3300)
        # Of the open voltage, the generator's own 50 Ohm and its current keep a little.
        assert np.median(trace.voltage_v[trace.voltage_v > 0.5 * open_v]) == pytest.approx(open_v, rel=0.03)
        above_s = np.ptp(trace.t_s[trace.voltage_v > 0.5 * open_v])
        assert above_s == pytest.approx(75e-9, abs=2e-9)
        facts = station.snapshot()
        assert set(facts["instruments"]) == {"smu", "pulser", "scope", "stage"}
        assert facts["identities"]["smu"]["model"] == "2636B"
        assert facts["instruments"]["scope"]["settings"]["1.scale_v"] == 1.0


# ---- ways of other kinds of wiring --------------------------------------------------------------------------


def test_ways_through_a_matrix_with_word_lines(tmp_path: Path) -> None:
    path = tmp_path / "bench.yaml"
    path.write_text(
        BENCH[: BENCH.index("wiring:")]
        .replace("rows: 1", "rows: 2")
        .replace("cols: 1", "cols: 3")
        .replace(
            "pulser: pulser.1",
            "pulser: pulser.1\n    access: transistor\n    word_line: smu.b\n    matrix: m",
        )
        + """
  m: {driver: keithley-707b, address: "TCPIP0::m::5025::SOCKET", backend: "@pcm", simulated: {model: keithley-707b}}
wiring:
  - smu.a -- m.A
  - pulser.1 -- 1 kOhm -- m.B
  - smu.b -- m.C
  - ground -- m.D
  - m.[1:3] -- cell.bl[0:2]
  - m.[4:5] -- cell.wl[0:1]
  - m.6 -- 10 Ohm -- cell.sl
"""
    )
    bench = load_bench(path)
    sockets = Sockets("smu.a", "pulser.1", "smu.b", "m")
    ways = ways_through(bench.connections, sockets, "cell", 2, 3, transistors=True)
    assert ways.to_read(4).crosspoints == {("A", 2), ("C", 5), ("D", 6)}
    assert ways.to_pulse(4).crosspoints == {("B", 2), ("C", 5), ("D", 6)}
    assert ways.to_pulse(4).series_ohm == 1010.0
    with pytest.raises(WiringError, match="word_line"):
        ways_through(
            bench.connections, Sockets("smu.a", "pulser.1", None, "m"), "cell", 2, 3, transistors=True
        )


# ---- the side door ------------------------------------------------------------------------------------------


def test_the_side_door_as_any_program_sees_it(tmp_path: Path) -> None:
    manager = pyvisa.ResourceManager(f"{bench_file(tmp_path)}@pcm")
    try:
        door = manager.open_resource(SIMULATION_ADDRESS, read_termination="\n", write_termination="\n")
        ask = door.query  # type: ignore[attr-defined]
        assert ask("SIM:CHIP?") == '"cell"'
        before, born = map(int, ask("XLAB:TIME?").split(","))
        assert born == 1_767_225_600_000_000_000
        assert ask("SIM:TIME:ADV 12.5;:XLAB:TIME?") == f"{before + 12_500_000_000},{born}"
        assert ask("SYST:TAG? 7;:SIM:SEED?") == "7;5"
        assert ask("SIM:TEMP 350;:SIM:TEMP?") == "3.500000000E+02"
        assert ask("SIM:TIME:RATE?") == "0.000000000E+00"
        assert ask("SYST:ERR?") == '0,"No error"'
        for refused, error in (
            ('SIM:CHIP "other"', '-224,"Illegal parameter value;no chip other"'),
            ("SIM:TIME:ADV -1", '-222,"Data out of range"'),
            ("SIM:TEMP 20", '-222,"Data out of range"'),
            ("SIM:TRUT? 1,0,1", '102,"Selection undefined"'),
            ("SIM:FAUL CELL,1,SET", '-222,"Data out of range"'),
            ("PROG:LAST?", '-113,"Undefined header;PROG:LAST?"'),
        ):
            door.write(refused)  # type: ignore[attr-defined]
            reply = ask("SYST:ERR?")
            assert reply == error or ask("SYST:ERR?") == error, refused
        assert SIMULATION_ADDRESS not in manager.list_resources("?*")
    finally:
        manager.close()


def test_the_side_door_is_only_where_cells_are(tmp_path: Path) -> None:
    path = tmp_path / "bench.yaml"
    path.write_text(BENCH[: BENCH.index("  cell:")] + BENCH[BENCH.index("  smu:\n") : BENCH.index("wiring:")])
    with pytest.raises(LinkError):
        BenchSimulation(f"{path}@pcm", "cell")


def test_what_simulation_control_asks_of_a_board_and_a_bench_has_not(tmp_path: Path) -> None:
    with open_discrete(load_bench(bench_file(tmp_path)), "cell") as chip:
        control = SimControl(chip)  # type: ignore[arg-type]
        with pytest.raises(InstrumentError, match="cannot be placed"):
            control.place(CELL, np.full(1, 5e-6, np.float32))
        with pytest.raises(InstrumentError):
            control.fault("TRIP")
        control.rate = 2.0
        assert control.rate == 2.0
