"""The loop on the simulated chip, against the acceptance numbers of device-physics §9.3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from calibration import DeviceCard
from drivers.chip import ReadSetup
from labkit import Run, Station, open_station
from labkit.judge import NetworkJudge
from labkit.network import Perceptron, load_demo_images, load_demo_network
from labkit.program_run import program_run
from labkit.programming import ProgramSettings, program_cells
from labkit.read_run import read_run

CARD = DeviceCard.load("ibm90")
LEVELS = np.array([0.04, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])


def bench(folder: Path, size: int) -> Path:
    path = folder / "bench.yaml"
    path.write_text(
        "version: 1\nname: mock\ninstruments:\n  chip:\n    driver: pcm-controller\n"
        "    address: TCPIP0::pcm-mock::5025::SOCKET\n    backend: '@pcm'\n"
        f"    simulated: {{model: pcm-controller, card: ibm90, rows: {size}, cols: {size}, seed: 2020, "
        "state: chip.state}\n"
    )
    return path


@pytest.fixture
def station(tmp_path: Path) -> Iterator[Station]:
    with open_station(bench(tmp_path, 128)) as opened:
        opened.energise()
        yield opened


def test_levels_are_programmed_as_the_published_device_is(station: Station) -> None:
    cells = np.arange(128 * 128, dtype=np.uint32)
    g = np.resize(LEVELS, cells.size)
    target_s = (g * CARD.g_max_s).astype(np.float32)
    result = program_cells(station.chip, station.clock, cells, target_s, CARD, ProgramSettings(passes_max=20))
    assert result.converged.mean() > 0.95  # of 20 passes; all 55 give 0.997, but the first cells grow old
    assert 5.0 < result.pulses.mean() < 7.5
    # One independent read, while the cells are 25 s old or somewhat more.
    station.clock.advance(10.0)
    read = station.chip.read(cells, ReadSetup(range_a=1e-5))
    assert read.t_ns is not None
    age_s = (read.t_ns - result.pulsed_ns) * 1e-9
    at_t0_s = read.g_s / CARD.drift.factor(age_s, CARD.drift.mean_exponent(g))
    for level in LEVELS:
        values = at_t0_s[result.converged & (g == level)] / (level * CARD.g_max_s)
        ratio = values.std() * level * CARD.g_max_s / CARD.programming_error.sigma_s(level)
        shift, doubt = values.mean() - 1.0, values.std() / np.sqrt(values.size)
        assert 0.95 < ratio < 1.40 * (1 + 3 / np.sqrt(2 * values.size)), level  # E1, a single read
        if level >= 0.1:
            assert abs(shift) < 0.015 + 3 * doubt, level  # E5


@pytest.mark.slow
def test_a_network_keeps_its_accuracy_in_the_chip(tmp_path: Path) -> None:
    images, labels = load_demo_images()
    judge = NetworkJudge(Perceptron, images, labels)
    path = bench(tmp_path, 1024)
    with open_station(path) as station:
        made = program_run(
            station,
            load_demo_network().layers(),
            card=CARD,
            settings=ProgramSettings(),
            out=tmp_path / "run",
            inputs={},
            ages_s=[25.0],
            judge=judge,
        )
    figures = made.manifest["figures"]
    assert 0.985 < figures["converged_fraction"] < 0.999  # E7
    assert 5.0 < figures["pulses_mean"] < 6.5
    with open_station(path) as station:
        read_run(station, Run.open(made.path), [86_400.0], judge=judge)
    run = Run.open(made.path)
    software = run.manifest["accuracy_software"]
    assert run.table("accuracy")["accuracy_plain"][0] > software - 0.01
    assert run.table("accuracy/0001")["accuracy_compensated"][0] > software - 0.015
