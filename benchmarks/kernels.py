"""Speed of the cells alone: one pulse and one read of every cell, on one thread and on two."""

from __future__ import annotations

import json
import statistics
import sys
import time

import numpy as np

from calibration import DeviceCard
from drivers.simulated.chip import SimulatedChip

ROWS, COLS = 1024, 1024
SECOND_NS = 1_000_000_000
PRESET = DeviceCard.load("ibm90")
EVERYTHING = PRESET.with_values(
    {"laws.telegraph_noise.parameters.fluctuators_max": 2}, source="everything the mock knows"
)
CELLS_ALONE = PRESET.without("lines", "columns", "current_voltage", "retention", "read_disturb")


class Bench:
    """A chip that is pulsed and read, turn by turn."""

    def __init__(self, card: DeviceCard, threads: int, *, hot: bool = False) -> None:
        self.chip = SimulatedChip.create(card, banks=1, rows=ROWS, cols=COLS, seed=2020, threads=threads)
        self.cells = np.arange(self.chip.cells, dtype=np.uint32)
        self.amplitude_a = np.linspace(230e-6, 450e-6, self.chip.cells, dtype=np.float32)
        self.voltage_v = 0.3 if hot else 0.2  # off the reference voltage the I-V law is at work
        self.turns = 0
        if hot:
            self.chip.set_temperature(330.0, 0)  # heat on the conductances, crystallisation on the states

    def turn(self) -> tuple[float, float]:
        """Seconds of a pulse and of a read of every cell."""
        moment = np.full(self.chip.cells, (1 + 4 * self.turns) * SECOND_NS, np.int64)
        self.turns += 1
        start = time.perf_counter()
        self.chip.pulse(self.cells, self.amplitude_a, moment, rise_s=5e-9, top_s=45e-9, fall_s=5e-9)
        between = time.perf_counter()
        self.chip.read(
            self.cells, moment + 2 * SECOND_NS, voltage_v=self.voltage_v, samples=1, aperture_s=1e-6,
            spacing_s=2e-6, ranges_a=[1e-5], adc_bits=8, adc_zero=8,
        )  # fmt: skip
        return between - start, time.perf_counter() - between


def main(repeat: int) -> None:
    benches = {
        "alone": Bench(CELLS_ALONE, 1),
        "preset": Bench(PRESET, 1),
        "everything": Bench(EVERYTHING, 1, hot=True),
        "everything_two": Bench(EVERYTHING, 2, hot=True),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in benches}
    for _ in range(2 + 3 * repeat):  # in turns, so that a busy machine is busy for all
        for name, bench in benches.items():
            taken[name].append(bench.turn())
    pulse, read, both = ({}, {}, {})
    for name, times in taken.items():
        pulse[name] = statistics.median(a for a, _ in times[2:])
        read[name] = statistics.median(b for _, b in times[2:])
        both[name] = statistics.median(a + b for a, b in times[2:])
    cells = ROWS * COLS
    print(
        json.dumps(
            {
                "alone_cells_per_s": cells / both["alone"] / 1e6,
                "preset_cells_per_s": cells / both["preset"] / 1e6,
                "pulse_ns": pulse["preset"] / cells * 1e9,
                "read_ns": read["preset"] / cells * 1e9,
                "everything_cells_per_s": cells / both["everything"] / 1e6,
                "everything_two_threads": both["everything"] / both["everything_two"],
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
