"""Compile the kernels before the first test, so that no test's time limit pays for it; draw examples repeatably."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


def pytest_collection_finish(session: pytest.Session) -> None:
    if any(item.path.parent.name != "calibration" for item in session.items):
        _compile_kernels()


def _compile_kernels() -> None:
    from calibration import DeviceCard
    from drivers.simulated.chip import SimulatedChip

    chip = SimulatedChip.create(DeviceCard.load("ibm90"), banks=1, rows=1, cols=256, seed=0, threads=1)
    cells, now_ns = np.arange(256, dtype=np.uint32), np.full(256, 10**9, np.int64)
    chip.pulse(cells, np.full(256, 3e-4, np.float32), now_ns, rise_s=5e-9, top_s=45e-9, fall_s=5e-9)
    chip.read(
        cells, now_ns + 10**9, voltage_v=0.2, samples=1, aperture_s=1e-6, spacing_s=2e-6, ranges_a=[1e-5],
        adc_bits=8, adc_zero=8,
    )  # fmt: skip
    chip.truth(cells, 10**10)
