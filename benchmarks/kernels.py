"""Speed of the cells alone: one pulse and one read of every cell, on one thread."""

from __future__ import annotations

import json
import statistics
import sys
import time
from importlib.util import find_spec

import numpy as np

from calibration import DeviceCard
from drivers.simulated.chip import SimulatedChip

ROWS, COLS = 1024, 1024
SECOND_NS = 1_000_000_000


def main(repeat: int) -> None:
    chip = SimulatedChip.create(DeviceCard.load("ibm90"), banks=1, rows=ROWS, cols=COLS, seed=2020, threads=1)
    cells = np.arange(chip.cells, dtype=np.uint32)
    amplitude_a = np.linspace(230e-6, 450e-6, chip.cells, dtype=np.float32)
    pulse_s, read_s = [], []
    for turn in range(2 + 3 * repeat):
        moment = np.full(chip.cells, (1 + 4 * turn) * SECOND_NS, np.int64)
        start = time.perf_counter()
        chip.pulse(cells, amplitude_a, moment, rise_s=5e-9, top_s=45e-9, fall_s=5e-9)
        between = time.perf_counter()
        chip.read(
            cells, moment + 2 * SECOND_NS, voltage_v=0.2, samples=1, aperture_s=1e-6, spacing_s=2e-6,
            ranges_a=[1e-5], adc_bits=8, adc_zero=8,
        )  # fmt: skip
        end = time.perf_counter()
        if turn >= 2:
            pulse_s.append(between - start)
            read_s.append(end - between)
    both = statistics.median(a + b for a, b in zip(pulse_s, read_s, strict=True))
    found = {
        "cells_per_s": chip.cells / both / 1e6,
        "pulse_ns": statistics.median(pulse_s) / chip.cells * 1e9,
        "read_ns": statistics.median(read_s) / chip.cells * 1e9,
    }
    if find_spec("aihwkit") is not None:
        found["aihwkit_cells_per_s"] = aihwkit_rate(repeat)
    print(json.dumps(found))


def aihwkit_rate(repeat: int) -> float:
    """Million cells per second that aihwkit programs and lets drift once, on one thread."""
    import torch
    from aihwkit.inference import PCMLikeNoiseModel

    torch.set_num_threads(1)
    model = PCMLikeNoiseModel(g_max=25.0)
    target = torch.rand(ROWS, COLS) * 25.0
    taken = []
    for _ in range(1 + repeat):
        start = time.perf_counter()
        programmed = model.apply_programming_noise_to_conductance(target)
        exponent = model.generate_drift_coefficients(target)
        model.apply_drift_noise_to_conductance(programmed, exponent, 3600.0)
        taken.append(time.perf_counter() - start)
    return target.numel() / statistics.median(taken[1:]) / 1e6


if __name__ == "__main__":
    main(int(sys.argv[1]))
