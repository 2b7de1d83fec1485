"""Benches for tests of the circuit behind the twins."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from drivers.bench import load_bench
from drivers.simulated.terminals import Wave
from drivers.simulated.world import World

HEAD = """\
version: 1
name: world
instruments:
  smu: {driver: keithley-2600, address: "TCPIP0::smu::5025::SOCKET"}
  gate: {driver: keithley-2600, address: "TCPIP0::gate::5025::SOCKET"}
  pulser: {driver: keysight-81160a, address: "TCPIP0::pulser::5025::SOCKET"}
  scope: {driver: tektronix-scope, address: "TCPIP0::scope::INSTR"}
  matrix: {driver: keithley-707b, address: "TCPIP0::matrix::5025::SOCKET"}
"""


def make_world(
    folder: Path, wiring: Sequence[str], chip: str = "", *, access: str = "none", rows: int = 4, cols: int = 4
) -> World:
    """Make a bench; `chip` are more keys of its simulated section, none where it is empty."""
    text = HEAD
    if chip:
        text += (
            f"  chip: {{driver: discrete, rows: {rows}, cols: {cols}, access: {access}, smu: smu.a, pulser: pulser.1,"
            f' backend: "@pcm", simulated: {{model: pcm-cells, rows: {rows}, cols: {cols}, {chip}}}}}\n'
        )
    text += f"wiring: {json.dumps(list(wiring))}\n"
    path = folder / "bench.yaml"
    path.write_text(text)
    return World(load_bench(path))


def trapezoid(
    volts: float,
    *,
    rise_s: float = 10e-9,
    top_s: float = 200e-9,
    fall_s: float = 5e-9,
    series_ohm: float = 50.0,
    count: int = 1,
    period_s: float = 0.0,
) -> Wave:
    """One pulse on a baseline of 0 V, 20 ns after the start, with 100 ns behind it."""
    t_s = np.cumsum([0.0, 20e-9, rise_s, top_s, fall_s, 100e-9])
    return Wave(t_s, np.array([0.0, 0.0, volts, volts, 0.0, 0.0]), series_ohm, count=count, period_s=period_s)


def one(cell: int) -> np.ndarray:
    """Return a cell as the arrays of the chip take it."""
    return np.array([cell], np.uint32)
