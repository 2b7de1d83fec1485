"""The chip at every size: time and memory per cell from 64 cells to ten million, and a year against a second.

Passes of a pulse and a read of every cell on the simulated chip alone, one thread and two. The sizes take turns, so
that a busy moment of the machine hits all of them.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from bench_file import write_bench

from calibration import DeviceCard
from drivers.simulated.chip import SimulatedChip
from labkit import open_station

SIZES = {"64": (8, 8), "1M": (1024, 1024), "10M": (1024, 10_240)}
SECOND_NS = 1_000_000_000
YEAR_S, SECOND_S = 365.25 * 86_400.0, 1.0


class Chip:
    """A chip of some size, and what one more pass over all its cells takes."""

    def __init__(self, rows: int, cols: int, threads: int) -> None:
        card = DeviceCard.load("ibm90")
        self.chip = SimulatedChip.create(card, banks=1, rows=rows, cols=cols, seed=2020, threads=threads)
        self.cells = np.arange(self.chip.cells, dtype=np.uint32)
        self.amplitude_a = np.linspace(230e-6, 450e-6, self.chip.cells, dtype=np.float32)
        self.passes = 0

    def pass_ns(self) -> float:
        """Pulse and read every cell; nanoseconds per cell."""
        self.passes += 1
        moment = np.full(self.chip.cells, 4 * self.passes * SECOND_NS, np.int64)
        start = time.perf_counter_ns()
        self.chip.pulse(self.cells, self.amplitude_a, moment, rise_s=5e-9, top_s=45e-9, fall_s=5e-9)
        moment += 2 * SECOND_NS
        self.chip.read(
            self.cells, moment, voltage_v=0.2, samples=1, aperture_s=1e-6, spacing_s=2e-6, ranges_a=[1e-5],
            adc_bits=8, adc_zero=8,
        )  # fmt: skip
        return (time.perf_counter_ns() - start) / self.chip.cells


def per_cell(repeat: int, threads: int) -> tuple[dict[str, float], dict[str, float]]:
    """Median nanoseconds of a pass, and bytes of memory, per cell and size."""
    chips = {name: Chip(*size, threads) for name, size in SIZES.items()}
    for chip in chips.values():
        chip.pass_ns()
    taken: dict[str, list[float]] = {name: [] for name in chips}
    for _ in range(repeat):
        for name, chip in chips.items():
            # About as many cells of every size, so that all see as much of the machine.
            turns = max(1, 4_000_000 // chip.chip.cells)
            taken[name].append(statistics.median(chip.pass_ns() for _ in range(min(turns, 50))))
    size = {name: chip.chip.arrays.nbytes / chip.chip.cells for name, chip in chips.items()}
    return {name: statistics.median(times) for name, times in taken.items()}, size


def year_over_second(repeat: int) -> dict[str, float]:
    """Wall time of letting a year pass in one message, and of a second."""
    taken: dict[float, list[float]] = {YEAR_S: [], SECOND_S: []}
    with tempfile.TemporaryDirectory() as name, open_station(write_bench(Path(name), 1024, 1024)) as station:
        station.energise()
        chip = station.chip
        cells = np.arange(chip.geometry().cells, dtype=np.uint32)
        chip.read(cells, station_read_setup())
        station.safe()  # no watchdog runs then, and a wait of any length is one message
        for _ in range(200 * repeat):
            for seconds, times in taken.items():
                start = time.perf_counter()
                station.clock.advance(seconds)
                times.append(time.perf_counter() - start)
    year_s, second_s = (statistics.median(taken[seconds]) for seconds in (YEAR_S, SECOND_S))
    return {"year_s": year_s, "second_s": second_s, "year_ratio": year_s / second_s}


def main(repeat: int) -> None:
    one, size = per_cell(repeat, 1)
    two, _ = per_cell(repeat, 2)
    found = {f"ns_{name}": value for name, value in one.items()} | {
        "size_ratio": one["10M"] / one["1M"],
        "two_threads": one["10M"] / two["10M"],
        "state_bytes": size["10M"],
        "state_bytes_1M": size["1M"],
    }
    print(json.dumps(found | year_over_second(repeat)))


if __name__ == "__main__":
    main(int(sys.argv[1]))
