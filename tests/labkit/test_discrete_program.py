"""Program-and-verify over a chip made of instruments does as well as over a controller board, cell by cell."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from calibration import DeviceCard
from drivers.bench import load_bench
from drivers.chip import Batch, EntryCode, Pulse, ReadSetup, State
from labkit.program_run import program_run
from labkit.programming import ProgramSettings
from labkit.programming.loop import program_cells
from labkit.report import write_report
from labkit.runs import Run
from labkit.station import Station, open_station

sys.path.append(str(Path(__file__).parents[1] / "drivers"))
from world_roles import open_roles

CARD = DeviceCard.load("ibm90")
CELLS = np.arange(64, dtype=np.uint32)
SETTINGS = ProgramSettings(pulse_top_s=60e-9, passes_max=14)
"""The line of a pad turns 50 ns of the generator into 48.5 ns of current, and the card's cells melt from 50 ns on."""
SEEDS = (1, 2, 3, 4)

BENCH = """
version: 1
name: probe station
instruments:
  chip:
    driver: discrete
    backend: "@pcm"
    rows: 8
    cols: 8
    smu: smu.a
    pulser: pulser.1
    matrix: matrix
    simulated: {model: pcm-cells, card: ibm90, rows: 8, cols: 8, seed: SEED}
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
  matrix:
    driver: keithley-707b
    address: TCPIP0::matrix::5025::SOCKET
    backend: "@pcm"
    simulated: {model: keithley-707b}
wiring:
  - smu.a -- matrix.A
  - pulser.1 -- 3.3 kOhm -- matrix.B
  - matrix.[1:64] -- chip.top[0:63]
  - chip.bottom -- ground
"""
BOARD = """
version: 1
name: board
instruments:
  chip:
    driver: pcm-controller
    address: TCPIP0::pcm-mock::5025::SOCKET
    backend: "@pcm"
    simulated: {model: pcm-controller, card: ibm90, rows: 8, cols: 8, seed: SEED}
"""


def bench_file(folder: Path, text: str, seed: int = 5, name: str = "bench") -> Path:
    path = folder / f"{name}{seed}.yaml"
    path.write_text(text.replace("SEED", str(seed)))
    return path


def residuals(station: Station, seed: int) -> NDArray[np.float64]:
    """Program all cells; true conductance minus drifted target of those that converged, in full scales."""
    target_s = np.random.default_rng(seed).uniform(1e-6, 24e-6, CELLS.size).astype(np.float32)
    with station:
        chip = station.chip
        station.energise()
        done = program_cells(chip, station.clock, CELLS, target_s, CARD, SETTINGS)
        assert np.array_equal(chip.cycles(CELLS), done.pulses)
        assert station.simulation is not None
        assert np.array_equal(station.simulation.pulses(CELLS), done.pulses)
        age_s = 1e-9 * (chip.clock_ns() - done.pulsed_ns.astype(np.float64))
        truth_s = station.simulation.truth_s(CELLS).astype(np.float64)
    expected_s = target_s * CARD.drift.factor(age_s, CARD.drift.mean_exponent(target_s / CARD.g_max_s))
    assert done.converged.mean() > 0.9
    return ((truth_s - expected_s) / CARD.g_max_s)[done.converged]


def rms(parts: list[NDArray[np.float64]]) -> float:
    return float(np.sqrt(np.mean(np.concatenate(parts) ** 2)))


def test_a_chip_of_instruments_programs_as_well_as_a_board(tmp_path: Path) -> None:
    board = [residuals(open_station(bench_file(tmp_path, BOARD, seed, "board")), seed) for seed in SEEDS]
    bench = [
        residuals(Station(load_bench(bench_file(tmp_path, BENCH, seed)), opener=open_roles), seed)
        for seed in SEEDS
    ]
    # A source-meter looks for longer than a board's converter, so that noise disturbs its loop a little less.
    assert 0.75 * rms(board) < rms(bench) < 1.15 * rms(board)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("job")
    station: Any = Station(load_bench(bench_file(folder, BENCH)), opener=open_roles)
    weights = np.random.default_rng(3).normal(0, 0.4, (4, 8))
    with station:
        return program_run(
            station,
            {"out": weights},
            card=CARD,
            settings=SETTINGS,
            out=folder / "run",
            inputs={"weights": "net.npz"},
            ages_s=[25.0, 86_400.0],
        )


def test_a_whole_job_leaves_the_same_run_as_over_a_board(run: Run) -> None:
    figures = run.manifest["figures"]
    assert run.manifest["status"] == "finished"
    assert figures["converged_fraction"] > 0.9
    assert 0.01 < figures["error_rms_fraction_of_gmax"] < 0.06
    assert run.tables() == ["cells", "passes", "reads/0000", "reads/0001"]
    assert write_report(run).stat().st_size > 10_000
    # A day later every cell is a day old, by the bench's clock, and has drifted down.
    reads = [run.table(name)["g_s"].to_numpy() for name in ("reads/0000", "reads/0001")]
    assert np.nanmedian(reads[1] / reads[0]) < 0.95


def test_the_manifest_names_every_instrument(run: Run) -> None:
    station = run.manifest["station"]
    assert set(station["identities"]) == {"chip", "smu", "pulser", "matrix"}
    assert set(station["instruments"]) == {"smu", "pulser", "matrix"}
    assert station["simulated"] is True


def test_the_check_of_a_station_pulses_nothing(tmp_path: Path) -> None:
    with Station(load_bench(bench_file(tmp_path, BENCH)), opener=open_roles) as station:
        checks = station.check()
        assert [check for check in checks if not check.ok] == []
        assert station.simulation is not None
        assert not station.simulation.pulses(CELLS).any()


def test_a_station_moves_the_time_of_the_whole_bench(tmp_path: Path) -> None:
    with Station(load_bench(bench_file(tmp_path, BENCH)), opener=open_roles) as station:
        before_ns, board_ns = station.clock.now_unix_ns(), station.chip.clock_ns()
        station.clock.advance(3600.0)
        assert station.clock.now_unix_ns() - before_ns == pytest.approx(3600e9, abs=1e7)
        assert station.chip.clock_ns() - board_ns == pytest.approx(3600e9, abs=1e7)


def test_a_cell_that_is_stuck_is_a_cell_that_is_stuck(tmp_path: Path) -> None:
    with Station(load_bench(bench_file(tmp_path, BENCH)), opener=open_roles) as station:
        assert station.simulation is not None
        station.simulation.fault("CELL", 9, "OPEN")
        assert station.simulation.health(CELLS)[9] & 7 == 3
        station.energise()
        pulse = Pulse(rise_s=5e-9, top_s=60e-9, fall_s=5e-9, period_s=1e-6, full_scale=450e-6)
        station.chip.program(
            Batch(station.chip.next_batch_id(), CELLS[8:11], pulse, np.full(3, 4e-4, np.float32))
        )
        assert station.chip.last_batch().state is State.DONE
        assert (station.chip.batch_flags() == EntryCode.PULSED).all()
        g_s = station.chip.read(CELLS[8:11], ReadSetup(samples=4)).g_s
        assert abs(g_s[1]) < 1e-9
        assert g_s[0] > 1e-9
