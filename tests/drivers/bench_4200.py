"""Bench files with a simulated 4200A, and plain pyvisa links to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyvisa

SOCKET = "TCPIP0::k4200::1225::SOCKET"
GPIB = "GPIB0::17::INSTR"


def bench(
    folder: Path,
    *,
    address: str = SOCKET,
    wiring: tuple[str, ...] = (
        "k4200.smu1 -- 100 kOhm -- ground",
        "k4200.pmu1_1 -- 10 kOhm -- ground",
        "k4200.pmu1_2 -- 1 kOhm -- ground",
    ),
    firmware: str = "V1.13",
    **options: Any,
) -> Path:
    """Write a bench file; returns its path."""
    chosen = ", ".join(f"{name}: {str(value).lower()}" for name, value in options.items())
    lines = "\n".join(f"  - {line}" for line in wiring)
    path = folder / "bench.yaml"
    path.write_text(
        f"""version: 1
name: t
instruments:
  k4200:
    driver: keithley-4200a
    address: "{address}"
    backend: "@pcm"
    simulated: {{model: keithley-4200a, firmware: {firmware}, options: {{{chosen}}}}}
wiring:
{lines}
"""
    )
    return path


@contextmanager
def plain(path: Path, address: str = SOCKET) -> Iterator[Any]:
    """A plain pyvisa resource, set up as any program sets one up."""
    manager = pyvisa.ResourceManager(f"{path}@pcm")
    try:
        resource = manager.open_resource(address, timeout=500)
        end = "\0" if address.endswith("SOCKET") else "\n"
        resource.write_termination = resource.read_termination = end
        yield resource
    finally:
        manager.close()
