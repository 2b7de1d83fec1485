"""The chip at every size: time and memory per cell from 64 cells to ten million, and a year against a second.

Passes of a pulse and a read of every cell on the simulated chip alone, one thread and two; the sizes take turns, so
that a busy moment of the machine hits all of them. Then the verify loop over ten million cells of a mock station, in
a process of its own whose largest memory counts.
"""

from __future__ import annotations

import json
import logging
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from threading import Thread

import numpy as np
from bench_file import write_bench
from numba import njit

from calibration import DeviceCard
from drivers.simulated.chip import SimulatedChip
from labkit import open_station
from labkit.programming import ProgramSettings, program_cells

SIZES = {"64": (8, 8), "1M": (1024, 1024), "10M": (1024, 10_240)}
SECOND_NS = 1_000_000_000
YEAR_S, SECOND_S = 365.25 * 86_400.0, 1.0


class Cells:
    """The cells of a chip of some size, and what one more pass over all of them takes."""

    def __init__(self, rows: int, cols: int) -> None:
        card, size = DeviceCard.load("ibm90"), {"banks": 1, "rows": rows, "cols": cols, "seed": 2020}
        alone = SimulatedChip.create(card, **size, threads=1)
        # The same cells, computed by another number of threads.
        self.chips = {1: alone, 2: SimulatedChip(card, alone.arrays, **size, threads=2)}
        self.number, self.bytes = alone.cells, alone.arrays.nbytes
        self.cells = np.arange(alone.cells, dtype=np.uint32)
        self.amplitude_a = np.linspace(230e-6, 450e-6, alone.cells, dtype=np.float32)
        self.passes = 0
        self.serial: list[float] = []  # share of the work that the calling thread did while it had two others
        self.taken: dict[int, list[float]] = {threads: [] for threads in self.chips}

    def turn(self) -> None:
        """Some passes, as many as make a few million cells."""
        for _ in range(min(max(1, 4_000_000 // self.number), 50)):
            for threads, times in self.taken.items():
                times.append(self.pass_ns(threads))

    def pass_ns(self, threads: int) -> float:
        """Pulse and read every cell; nanoseconds per cell."""
        self.passes += 1
        chip = self.chips[threads]
        pulsed_ns = np.full(self.number, 4 * self.passes * SECOND_NS, np.int64)
        read_ns = pulsed_ns + 2 * SECOND_NS
        start, alone, both = time.perf_counter_ns(), time.thread_time_ns(), time.process_time_ns()
        chip.pulse(self.cells, self.amplitude_a, pulsed_ns, rise_s=5e-9, top_s=45e-9, fall_s=5e-9)
        chip.read(
            self.cells, read_ns, voltage_v=0.2, samples=1, aperture_s=1e-6, spacing_s=2e-6,
            ranges_a=[1e-5], adc_bits=8, adc_zero=8,
        )  # fmt: skip
        taken_ns = time.perf_counter_ns() - start
        if threads > 1:
            self.serial.append((time.thread_time_ns() - alone) / (time.process_time_ns() - both))
        return taken_ns / self.number

    def ns(self, threads: int) -> float:
        return statistics.median(self.taken[threads])


def passes(repeat: int) -> dict[str, float]:
    """Time of a pass and memory per cell: how they go with the number of cells and with threads."""
    sizes = {name: Cells(*size) for name, size in SIZES.items()}
    for size in sizes.values():
        size.pass_ns(1)
    for _ in range(repeat):
        for size in sizes.values():
            size.turn()
    small, million, ten = sizes.values()
    return {
        "ns_64": small.ns(1),
        "ns_1M": million.ns(1),
        "ns_10M": ten.ns(1),
        "size_ratio": ten.ns(1) / million.ns(1),
        "ten_million_two_threads": ten.ns(1) / ten.ns(2),
        "two_spinning": two_spinning(repeat),
        "serial_share": statistics.median(ten.serial),
        "state_bytes_64": small.bytes / small.number,
        "state_bytes_1M": million.bytes / million.number,
        "state_bytes_10M": ten.bytes / ten.number,
    }


def two_spinning(repeat: int) -> float:
    """How much more two threads that share nothing get done than one, on this machine at this moment."""

    @njit(nogil=True)
    def spin(turns: int) -> float:
        total = 0.0
        for turn in range(turns):
            total += (turn * 0.5) % 3.0
        return total

    def wall_s(threads: int) -> float:
        working = [Thread(target=spin, args=(20_000_000,)) for _ in range(threads)]
        start = time.perf_counter()
        for thread in working:
            thread.start()
        for thread in working:
            thread.join()
        return time.perf_counter() - start

    spin(1)
    return statistics.median(2 * wall_s(1) / wall_s(2) for _ in range(repeat))


def year_over_second() -> dict[str, float]:
    """Wall time of letting a year pass in one message, and of a second."""
    taken: dict[float, list[float]] = {YEAR_S: [], SECOND_S: []}
    with tempfile.TemporaryDirectory() as name, open_station(write_bench(Path(name), 1024, 1024)) as station:
        station.energise()
        station.chip.power(False)  # no watchdog runs then, and a wait of any length is one message
        for _ in range(200):  # the clock ends after 292 years
            for seconds, times in taken.items():
                start = time.perf_counter()
                station.clock.advance(seconds)
                times.append(time.perf_counter() - start)
    year_s, second_s = (statistics.median(taken[seconds]) for seconds in (YEAR_S, SECOND_S))
    return {"year_s": year_s, "second_s": second_s, "year_ratio": year_s / second_s}


def program(rows: int, cols: int, passes_max: int) -> float:
    """Largest memory of this process per cell that it programs, station, chip, driver and loop together; bytes."""
    cells = np.arange(rows * cols, dtype=np.uint32)
    before = resident_bytes("VmRSS")
    with tempfile.TemporaryDirectory() as name, open_station(write_bench(Path(name), rows, cols)) as station:
        station.energise()
        target_s = np.linspace(0.0, 25e-6, cells.size, dtype=np.float32)
        target_s[::8] = 0.0
        settings = ProgramSettings(passes_max=passes_max)
        program_cells(station.chip, station.clock, cells, target_s, DeviceCard.load("ibm90"), settings)
        return (resident_bytes("VmHWM") - before + cells.nbytes) / cells.size


def resident_bytes(which: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(row.split()[1] for row in status.splitlines() if row.startswith(which))) * 1024


def program_alone(rows: int, cols: int, passes_max: int) -> float:
    """As :func:`program`, in a process that has done nothing else."""
    command = [sys.executable, __file__, "program", str(rows), str(cols), str(passes_max)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def main(repeat: int) -> None:
    logging.disable(logging.WARNING)  # that two seconds are younger than what the card was measured at
    found = {"program_bytes": program_alone(*SIZES["10M"], 6)}
    print(json.dumps(found | passes(repeat) | year_over_second()))


if __name__ == "__main__":
    if sys.argv[1] == "program":
        logging.disable(logging.WARNING)
        print(program(*map(int, sys.argv[2:])))
    else:
        main(int(sys.argv[1]))
