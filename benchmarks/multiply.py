"""Analog products of a whole rectangle of the preset ibm90, beside the same products in plain numpy."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bench_file import write_bench

from drivers import ReadSetup, Rectangle
from labkit import open_station

SIZE, VECTORS = 512, 4096
SETUP = ReadSetup(voltage_v=0.05, range_a=1e-4)


def seconds(work: Callable[[], object], repeat: int) -> float:
    """Median of some turns after one to warm up."""
    taken = []
    for _ in range(1 + repeat):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def main(repeat: int) -> None:
    random = np.random.default_rng(2020)
    x = random.integers(-127, 128, (VECTORS, SIZE)).astype(np.int8)
    floats, conductance_s = x.astype(np.float32), random.random((SIZE, SIZE), np.float32)
    rectangle = Rectangle(0, 0, 0, SIZE, SIZE)
    with tempfile.TemporaryDirectory() as name, open_station(write_bench(Path(name), SIZE, SIZE)) as station:
        chip = station.chip
        station.energise()
        batch_s = seconds(lambda: chip.multiply(rectangle, x, SETUP), repeat)
        single_s = seconds(lambda: chip.multiply(rectangle, x[:1], SETUP), repeat)
    plain_s = seconds(lambda: floats @ conductance_s, repeat)
    print(
        json.dumps(
            {
                "products_per_s": VECTORS / batch_s,
                "numpy_products_per_s": VECTORS / plain_s,
                "product_ratio": batch_s / plain_s,
                "single_product_s": single_s,
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
