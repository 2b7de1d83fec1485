"""Benches with a pulse generator, for its tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyvisa

__all__ = ["GPIB", "SOCKET", "bench_file", "drained", "plain"]

GPIB = "GPIB0::10::INSTR"
SOCKET = "TCPIP0::pulser::5025::SOCKET"


def bench_file(
    tmp_path: Path, model: str, address: str = GPIB, wiring: tuple[str, ...] = (), serial: str | None = None
) -> Path:
    """Write a bench with the generator ``pulser`` and return where it is."""
    driver = "keysight-81160a" if "811" in model else "keysight-33500"
    lines = [
        "version: 1",
        "name: t",
        "instruments:",
        f'  pulser: {{driver: {driver}, address: "{address}", backend: "@pcm",',
        f"           simulated: {{model: {model}{f', serial: {serial}' if serial else ''}}}}}",
    ]
    if wiring:
        lines += ["wiring:", *(f"  - {wire}" for wire in wiring)]
    path = tmp_path / "bench.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def plain(path: Path, address: str = GPIB) -> Any:
    """Open the generator as any program would."""
    resource = pyvisa.ResourceManager(f"{path}@pcm").open_resource(address)
    resource.read_termination = resource.write_termination = "\n"
    resource.timeout = 200
    return resource


def drained(resource: Any) -> list[str]:
    """Return and forget its errors."""
    found = []
    while (entry := resource.query("SYST:ERR?")) != '+0,"No error"':
        found.append(entry)
    return found
