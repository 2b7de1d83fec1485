"""The target level beside aihwkit's PCM model on the same work: programming, drift exponents, drift, read noise.

What is measured of labkit is the sampler, which keeps no state of its cells and writes where it is told; a chip that is
placed and read through its converter takes several times as long. aihwkit makes new arrays at every step: at 1e7 cells
much of its time goes into fresh memory, not arithmetic.

aihwkit is measured where it is installed in the same environment (the extra ``aihwkit``); both run in this
process, in turns, on one thread.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

from calibration import DeviceCard
from drivers.simulated.target_level import TargetLevel

SIZES = {"1m": 10**6, "10m": 10**7}
AGE_S = 86_400.0


def labkit_work(targets_s: np.ndarray) -> Callable[[int], object]:
    device = TargetLevel(DeviceCard.load("ibm90"), seed=2020, threads=1)
    out = np.empty_like(targets_s)
    return lambda turn: device.sample(targets_s, AGE_S, realisation=turn, out=out)


def aihwkit_work(targets_s: np.ndarray) -> Callable[[int], object]:
    import torch
    from aihwkit.inference import PCMLikeNoiseModel

    torch.set_num_threads(1)
    model = PCMLikeNoiseModel(g_max=25.0)
    target = torch.from_numpy(targets_s * np.float32(1e6))

    def work(turn: int) -> object:
        programmed = model.apply_programming_noise_to_conductance(target)
        exponent = model.generate_drift_coefficients(target)
        return model.apply_drift_noise_to_conductance(programmed, exponent, AGE_S)

    return work


def main(repeat: int) -> None:
    found: dict[str, float] = {}
    for name, size in SIZES.items():
        targets_s = np.random.default_rng(1).uniform(0.0, 25e-6, size).astype(np.float32)
        works = {"labkit": labkit_work(targets_s)}
        if find_spec("aihwkit") is not None:
            works["aihwkit"] = aihwkit_work(targets_s)
        taken: dict[str, list[float]] = {who: [] for who in works}
        for turn in range(1 + repeat):  # in turns, so that a busy machine is busy for both
            for who, work in works.items():
                start = time.perf_counter()
                work(turn)
                taken[who].append(time.perf_counter() - start)
        seconds = {who: statistics.median(times[1:]) for who, times in taken.items()}
        found[f"target_level_{name}_ns"] = seconds["labkit"] / size * 1e9
        if "aihwkit" in seconds:
            found[f"aihwkit_{name}_ns"] = seconds["aihwkit"] / size * 1e9
            found[f"target_level_{name}_ratio"] = seconds["aihwkit"] / seconds["labkit"]
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]))
