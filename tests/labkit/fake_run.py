"""A programming run as a good bench would leave it, made from the target-level laws without any chip.

Read-backs follow device-physics §2.1-2.3: spread sigma_prog(g) at 20 s, a drift exponent per cell, and read
noise that walks from read to read; with stuck cells, a network's weights, and a loop of few pulses.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration import DeviceCard
from labkit.runs import Run

G_MAX_S = 25e-6
CREATED_NS = 1_767_225_600_000_000_000
AGES = ((25.0, "25 s"), (3600.0, "1 h"), (86_400.0, "1 d"), (604_800.0, "1 wk"), (2_629_800.0, "1 mo"))
LSB_S = G_MAX_S * 1.25 / 4096


def bare_run(path: Path, *, kind: str = "program") -> Run:
    """Begin a run and leave it without any table."""
    return Run.create(
        path, kind=kind, settings={}, card={}, station={}, seeds={}, inputs={}, created_unix_ns=0
    )


def settings() -> dict[str, Any]:
    return {
        "g_max_s": G_MAX_S,
        "verify_age_s": 2.0,
        "margin_s": 0.5e-6,
        "pulses_max": 55,
        "read_voltage_v": 0.2,
        "strategy": "proportional",
    }


def fake_run(
    path: Path,
    *,
    cells: int = 400_000,
    rows: int = 1024,
    cols: int = 1024,
    banks: int = 1,
    ages: Sequence[tuple[float, str]] = AGES,
    levels: int | None = None,
    images: bool = True,
    skip: Sequence[str] = (),
    card: Mapping[str, Any] | None = None,
    status: str = "finished",
    seed: int = 1,
) -> Run:
    """Write a run of `cells` programmed cells; `levels` gives that many target levels instead of weights."""
    rng = np.random.default_rng(seed)
    run = Run.create(
        path,
        kind="program",
        settings=settings(),
        card=DeviceCard.load("ibm90").to_dict() if card is None else card,
        station={
            "name": "mock bench",
            "chip": {"maker": "labkit", "model": "PCM-MOCK", "serial": "SN0042", "simulated": True},
            "envelope": {"current_max_a": 460e-6, "width_max_s": 1e-3, "pulses_per_cell_max": 100_000},
        },
        seeds={"chip": 2020, "loop": seed},
        inputs={"weights": "weights.npz", "sha256": "9c" * 32},
        created_unix_ns=CREATED_NS,
    )
    run.update_manifest(geometry={"banks": banks, "rows": rows, "cols": cols})
    truth = _Truth(rng, cells, levels)
    if "cells" not in skip:
        _write_cells(run, truth, rng, rows, cols)
    if "passes" not in skip:
        _write_passes(run, truth)
    for age_s, label in ages if "reads" not in skip else ():
        g_s, flags, exact_s = truth.read(age_s)
        run.add_read(
            g_s=g_s,
            flags=flags,
            t_ns=(exact_s.astype(np.float64) * 1e9).astype(np.uint64) + np.uint64(60_000_000_000),
            age_s=exact_s,
            nominal_age_s=age_s,
            label=label,
            setup={"voltage_v": 0.2, "samples": 1, "aperture_s": 1e-6},
            metadata={"lsb_s": LSB_S},
        )
    if images:
        _write_accuracy(run, ages)
    error = (truth.read(25.0)[0] - truth.target_s)[truth.converged]
    error = error[np.isfinite(error)]
    run.finish(
        status,
        cells=cells,
        converged_fraction=float(truth.converged.mean()),
        passes=int(truth.pulses.max()),
        pulses_mean=float(truth.pulses.mean()),
        error_rms_fraction_of_gmax=float(np.sqrt(np.mean(error**2)) / G_MAX_S) if error.size else None,
        messages=4 * int(truth.pulses.max()) + 31,
        seconds=38.4,
    )
    return run


class _Truth:
    """The cells behind the tables."""

    def __init__(self, rng: np.random.Generator, cells: int, levels: int | None) -> None:
        self.rng = rng
        if levels is None:
            half = cells // 2
            weight = np.clip(rng.normal(0, 0.26, cells - half), -1, 1)
            # A differential pair: one device carries the weight, its partner is RESET.
            target = np.concatenate((np.maximum(weight, 0), np.maximum(-weight, 0)[:half]))
        else:
            target = np.repeat(np.arange(1, levels + 1) / levels, -(-cells // levels))[:cells]
        target[(target > 0) & (target < 0.01)] = 0.0
        self.target_s = (target * G_MAX_S).astype(np.float32)
        g = np.maximum(target, 1e-3)
        sigma = (-1.1731 * g**2 + 1.9650 * g + 0.26348) * 1e-6 * G_MAX_S / 25e-6
        mu = np.clip(-0.0155 * np.log(g) + 0.0244, 0.049, 0.1)
        spread = np.clip(-0.0125 * np.log(g) - 0.0059, 0.008, 0.045)
        self.nu = np.abs(mu + spread * rng.standard_normal(cells))
        self.noise = np.minimum(0.0088 / g**0.65, 0.2)
        self.g_prog = np.maximum(self.target_s + 0.9 * sigma * rng.standard_normal(cells), 0.02e-6)
        reset = self.target_s == 0
        self.g_prog[reset] = 0.09e-6 * np.exp(0.4 * rng.standard_normal(int(reset.sum())))
        self.pulses = np.minimum(1 + rng.geometric(0.20, cells), 55).astype(np.uint32)
        self.pulses[reset] = 1 + (rng.random(int(reset.sum())) < 0.12)
        self.converged = (self.pulses < 55) & (rng.random(cells) > 0.0005)
        stuck = ~self.converged
        self.pulses[stuck] = 55
        self.g_prog[stuck] = np.where(rng.random(int(stuck.sum())) < 0.5, 24e-6, 0.1e-6)
        self.walk = np.zeros(cells)

    def read(self, age_s: float) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.float32]]:
        cells = self.target_s.size
        age = age_s * (1 + 0.02 * np.linspace(0, 1, cells))
        self.walk = 0.8 * self.walk + 0.6 * self.rng.standard_normal(cells)
        g = self.g_prog * (age / 20.0) ** -self.nu
        g = g * (1 + self.noise * 2.2 * self.walk) + 0.05e-6 * self.rng.standard_normal(cells)
        g_s = (np.round(g / LSB_S) * LSB_S).astype(np.float32)
        flags = np.zeros(cells, np.uint8)
        masked = self.rng.integers(0, cells, max(1, cells // 5000))
        flags[masked] = 4
        g_s[masked] = np.nan
        return g_s, flags, age.astype(np.float32)


def _write_cells(run: Run, truth: _Truth, rng: np.random.Generator, rows: int, cols: int) -> None:
    import pandas as pd

    cells = truth.target_s.size
    index = np.arange(cells, dtype=np.uint32)
    row = (index // cols) % rows
    names = np.array(["fc1", "fc2", "fc3"])
    layer = names[np.minimum(3 * index.astype(np.int64) // cells, 2)]
    run.write_table(
        "cells",
        {
            "cell": index,
            "layer": pd.Categorical(layer, categories=list(names)),
            "row": row.astype(np.uint32),
            "col": index % cols,
            "polarity": np.where(index % 2, -1, 1).astype(np.int8),
            "target_s": truth.target_s,
            "verify_target_s": truth.target_s * np.float32((2.0 / 20.0) ** -0.049),
            "programmed": np.ones(cells, bool),
            "pulses": truth.pulses,
            "converged": truth.converged,
            "accepted_s": truth.target_s + np.float32(0.29e-6) * rng.uniform(-1, 1, cells).astype(np.float32),
            "last_amplitude_a": rng.uniform(60e-6, 440e-6, cells).astype(np.float32),
        },
    )


def _write_passes(run: Run, truth: _Truth) -> None:
    number = np.arange(1, int(truth.pulses.max()) + 1)
    done = np.array([np.count_nonzero(truth.converged & (truth.pulses <= i)) for i in number])
    active = truth.target_s.size - np.concatenate(([0], done[:-1]))
    run.write_table(
        "passes",
        {
            "pass": number,
            "active": active,
            "pulsed": active,
            "converged_total": done,
            "rms_error_s": 6e-6 * np.exp(-0.5 * number) + 1.1e-6 + 0.02e-6 * number,
            "seconds_host": np.full(number.size, 0.7),
            "board_time_ns": number * 2_100_000_000,
            "messages": np.full(number.size, 4),
        },
    )


def _write_accuracy(run: Run, ages: Sequence[tuple[float, str]]) -> None:
    age_s = np.array([age for age, _ in ages])
    decades = np.log10(age_s / 20.0)
    run.write_table(
        "accuracy",
        {
            "age_s": age_s,
            "label": [label for _, label in ages],
            "accuracy_plain": 0.9760 - 0.0035 * decades**1.6,
            "accuracy_compensated": 0.9765 - 0.0012 * decades,
            "scales": [json.dumps({"fc1": round(float(x), 4)}) for x in (age_s / 20.0) ** 0.05],
        },
    )
    run.update_manifest(accuracy_software=0.9801)
