"""Chips of real drivers on their twins: the rules of a chip, kept over five languages and a true circuit."""

from __future__ import annotations

from pathlib import Path

import chip_conformance as conformance
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration import DeviceCard
from drivers.bench import load_bench
from drivers.chip import Batch, EntryCode, Pulse, ReadSetup
from drivers.discrete import DiscreteChip
from drivers.discrete_opening import open_discrete
from drivers.errors import HotSwitch
from drivers.sim_control import SimControl
from drivers.simulated.registry import open_bench
from labkit.program_run import program_run
from labkit.programming import ProgramSettings
from labkit.station import open_station

BENCH = """
version: 1
name: probe station
instruments:
  cells:
    driver: discrete
    backend: "@pcm"
    rows: 3
    cols: 4
    smu: smu.a
    pulser: pulser.1
    matrix: matrix
    simulated: {model: pcm-cells, card: ibm90, rows: 3, cols: 4, seed: 5}
  smu:
    driver: keithley-2600
    address: TCPIP0::smu::5025::SOCKET
    backend: "@pcm"
    simulated: {model: keithley-2636b}
  pulser:
    driver: keysight-81160a
    address: TCPIP0::pulser::hislip0::INSTR
    backend: "@pcm"
    simulated: {model: keysight-81160a}
  matrix:
    driver: keithley-707b
    address: TCPIP0::matrix::5025::SOCKET
    backend: "@pcm"
    simulated: {model: keithley-707b}
wiring:
  - smu.a -- matrix.A
  - pulser.1 -- 3.3 kOhm -- matrix.B
  - matrix.[1:12] -- cells.top[0:11]
  - cells.bottom -- ground
"""
_GATES = """\
    matrix: matrix
    access: transistor
    word_line: smu.b
    on_resistance: 3.7 kOhm   # the drive model knows of no transistor: its 1.1 kOhm count as the cell's
"""
_LINES = """\
  - smu.b -- matrix.C
  - matrix.[1:4] -- cells.bl[0:3]
  - matrix.[5:7] -- cells.wl[0:2]
  - cells.sl -- ground
"""
GATED = (
    BENCH.replace("    matrix: matrix\n", _GATES)
    .replace("pulser.1 -- 3.3 kOhm --", "pulser.1 -- 2 kOhm --")
    .replace("  - matrix.[1:12] -- cells.top[0:11]\n  - cells.bottom -- ground\n", _LINES)
)
PULSE = Pulse(rise_s=5e-9, top_s=70e-9, fall_s=5e-9, period_s=1e-6, full_scale=450e-6)
ALL = np.arange(12, dtype=np.uint32)
RULES = ("skips_touch_nothing", "masks_forbid", "an_id_pulses_once", "a_stop_latches")


@pytest.fixture(params=["matrix", "word lines"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "bench.yaml"
    path.write_text(BENCH if request.param == "matrix" else GATED)
    return path


def ready(path: Path) -> DiscreteChip:
    chip = open_discrete(load_bench(path), "cells")
    chip.power(True)
    chip.outputs(True)
    return chip


@pytest.mark.parametrize("rule", RULES)
def test_rules_of_a_chip(path: Path, rule: str) -> None:
    with ready(path) as chip:
        control = SimControl(chip)  # type: ignore[arg-type]

        def pulses(cells: NDArray[np.uint32]) -> NDArray[np.uint32]:
            return control.pulses(cells)

        getattr(conformance, rule)(chip, ALL[[3, 11, 0, 7, 5]], 2e-4, pulses)
        with open_bench(path) as bench:
            assert not bench.world.welded("matrix")


def test_identity_and_time(path: Path) -> None:
    with ready(path) as chip:
        conformance.agrees_with_itself(chip)
        conformance.the_clock_is_monotonic(chip, ALL[2:6], 2e-4)


def test_each_cell_is_its_own(path: Path) -> None:
    with ready(path) as chip:
        control = SimControl(chip)  # type: ignore[arg-type]
        amplitude = np.where(ALL % 3 == 0, np.float32(4.4e-4), np.float32(np.nan))
        chip.program(Batch(1, ALL, PULSE, amplitude))
        assert np.array_equal(control.pulses(ALL), ALL % 3 == 0)
        assert ((chip.batch_flags() == EntryCode.PULSED) == (ALL % 3 == 0)).all()
        control.advance(1.0)
        setup = ReadSetup(samples=5, aperture_s=1e-3, range_a=1e-5)
        reading, truth_s = chip.read(ALL[::-1], setup), control.truth_s(ALL[::-1])
        assert not reading.flags.any()
        pulsed = ALL[::-1] % 3 == 0
        assert (reading.g_s[pulsed] < 1e-6).all()
        assert (reading.g_s[~pulsed] > 1e-5).all()
        assert reading.g_s[~pulsed] == pytest.approx(truth_s[~pulsed], rel=0.25)


def test_a_cell_costs_a_handful_of_messages(path: Path) -> None:
    with ready(path) as chip:
        chip.read(ALL, ReadSetup())
        messages = chip.messages()
        chip.read(ALL, ReadSetup(samples=64))
        reads = chip.messages() - messages
        messages = chip.messages()
        chip.program(Batch(1, ALL, PULSE, np.full(12, 2e-4, np.float32), 50))
        pulses = chip.messages() - messages
    assert reads < 20 * ALL.size
    assert pulses < 20 * ALL.size


def test_a_whole_job(path: Path, tmp_path: Path) -> None:
    card = DeviceCard.load("ibm90")
    with open_station(path) as station:
        checks = station.check()
        assert [check for check in checks if not check.ok] == []
        run = program_run(
            station,
            {"out": np.array([[0.9, -0.5, 0.2], [-0.8, 0.4, 0.7]])},
            card=card,
            settings=ProgramSettings(pulse_top_s=70e-9, passes_max=20),
            out=tmp_path / "run",
            inputs={"weights": "six"},
        )
        cells = run.table("cells")
        assert station.simulation is not None
        given = station.simulation.pulses(cells.cell.to_numpy(np.uint32))
        assert np.array_equal(given, cells.pulses)
    figures = run.manifest["figures"]
    assert figures["converged_fraction"] == 1.0
    assert figures["error_rms_fraction_of_gmax"] < 0.1
    assert set(run.manifest["station"]["instruments"]) == {"smu", "pulser", "matrix"}
    with open_bench(path) as bench:
        assert not bench.world.welded("matrix")


def test_a_voltage_that_somebody_left_on_never_meets_a_relay(path: Path) -> None:
    with ready(path) as chip:
        chip.read(ALL[:1], ReadSetup())
        smu = chip.instruments["smu"].parts()["a"]
        smu.hold(0.2, limit_a=1e-6)
        chip.read(ALL[5:6], ReadSetup())
        with open_bench(path) as bench:
            assert not bench.world.welded("matrix")


def test_an_instrument_that_refuses_to_go_to_zero_stops_the_relays(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ready(path) as chip:
        chip.read(ALL[:1], ReadSetup())
        part = chip.instruments["smu"].parts()["a"]
        closed = chip.instruments["matrix"].closed()

        def refuses(self: object) -> None:
            raise chip.instruments["smu"].failure([])

        monkeypatch.setattr(type(part), "zero", refuses)
        with pytest.raises(HotSwitch):
            chip.read(ALL[5:6], ReadSetup())
        assert chip.instruments["matrix"].closed() == closed
        monkeypatch.undo()
