"""A bench of a pulse card and a scope that looks at it, and plain pyvisa links to the scope."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyvisa

from drivers.simulated.registry import SimulatedBench, open_bench
from drivers.simulated.terminals import Wave

SCOPE = "TCPIP0::scope::inst0::INSTR"
SOCKET = "TCPIP0::scope::4000::SOCKET"
K4200 = "TCPIP0::k4200::1225::SOCKET"


def bench(folder: Path, *, address: str = SCOPE, model: str = "tektronix-dpo7254") -> Path:
    """Write a bench file whose pulser is seen by channels 1 and 2; returns its path."""
    path = folder / "bench.yaml"
    driver = "tektronix-scope" if model.startswith("tektronix") else "keysight-infiniivision"
    path.write_text(
        f"""version: 1
name: t
instruments:
  scope: {{driver: {driver}, address: "{address}", backend: "@pcm", simulated: {{model: {model}}}}}
  k4200: {{driver: keithley-4200a, address: "{K4200}", backend: "@pcm", simulated: {{model: keithley-4200a}}}}
wiring:
  - k4200.pmu1_1 -- scope.1
  - k4200.pmu1_1 -- 1 kOhm -- scope.2
"""
    )
    return path


def trapezoid(level_v: float, *, top_s: float = 1e-6, count: int = 1) -> Wave:
    """A pulse with edges of 100 ns, from 50 Ohm."""
    t_s = np.array([0.0, 200e-9, 300e-9, 300e-9 + top_s, 400e-9 + top_s, 1e-6 + top_s])
    return Wave(
        t_s, level_v * np.array([0.0, 0.0, 1.0, 1.0, 0.0, 0.0]), 50.0, count=count, period_s=2e-6 + top_s
    )


@contextmanager
def opened(path: Path, address: str = SCOPE) -> Iterator[tuple[Any, SimulatedBench]]:
    """A plain resource of the scope, and the bench it stands on."""
    manager = pyvisa.ResourceManager(f"{path}@pcm")
    try:
        resource = manager.open_resource(address, timeout=300)
        resource.read_termination = resource.write_termination = "\n"
        with open_bench(path) as simulated:
            yield resource, simulated
    finally:
        manager.close()


def play(simulated: SimulatedBench, level_v: float = 1.0, **how: Any) -> None:
    """Play a pulse at the pulser."""
    with simulated.world.lock:
        simulated.world.play({"k4200.pmu1_1": trapezoid(level_v, **how)})
