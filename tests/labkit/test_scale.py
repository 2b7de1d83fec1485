"""Millions of cells through the whole loop: what it takes of memory, not of time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROWS, COLS = 2048, 2304  # 4.7 million cells: more than one message of the board holds
LIMIT_BYTES = 420.0
"""Per cell: 184 of the chip, 20 of its board, 130 of the loop and its result, the rest passing arrays."""

PROGRAM = """
import logging, resource, sys
import numpy as np
from calibration import DeviceCard
from labkit import open_station
from labkit.programming import ProgramSettings, program_cells

logging.disable(logging.WARNING)
card, settings = DeviceCard.load("ibm90"), ProgramSettings(passes_max=6)

def program(bench):
    with open_station(bench) as station:
        station.energise()
        cells = np.arange(station.chip.geometry().cells, dtype=np.uint32)
        target_s = np.linspace(0.0, 25e-6, cells.size, dtype=np.float32)
        target_s[::8] = 0.0
        result = program_cells(station.chip, station.clock, cells, target_s, card, settings)
    return cells.size, result.converged.mean(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

_, _, before = program(sys.argv[1])  # compiles the kernels
cells, converged, after = program(sys.argv[2])
print((after - before) / cells, converged)
"""


def bench_file(folder: Path, rows: int, cols: int) -> Path:
    path = folder / f"{rows}x{cols}.yaml"
    path.write_text(
        "version: 1\nname: mock\ninstruments:\n  chip:\n    driver: pcm-controller\n"
        "    address: TCPIP0::pcm-mock::5025::SOCKET\n    backend: '@pcm'\n"
        f"    simulated: {{model: pcm-controller, card: ibm90, rows: {rows}, cols: {cols}, seed: 2020}}\n"
    )
    return path


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_programming_millions_of_cells_stays_within_its_memory(tmp_path: Path) -> None:
    benches = [str(bench_file(tmp_path, *size)) for size in ((64, 64), (ROWS, COLS))]
    # First with nothing large: compiling the kernels takes more memory than what is measured here.
    for pair in ([benches[0], benches[0]], benches):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *pair], capture_output=True, text=True, check=False, timeout=900
        )
    assert done.returncode == 0, done.stderr
    bytes_per_cell, converged = map(float, done.stdout.split())
    assert converged > 0.5
    # The cells themselves are 184 bytes: less would mean that the measurement missed them.
    assert 184.0 < bytes_per_cell < LIMIT_BYTES
