"""Benches with a B1500A, for its tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyvisa

from drivers.instruments.keysight_b1500 import KeysightB1500

__all__ = ["ADDRESS", "bench_file", "drained", "driver", "plain"]

ADDRESS = "GPIB0::17::INSTR"
WIRING = ("b1500.1 -- 100 kOhm -- ground", "b1500.2 -- 10 kOhm -- ground", "b1500.501 -- 1 kOhm -- ground")


def bench_file(
    tmp_path: Path, *, options: str = "{}", address: str = ADDRESS, wiring: tuple[str, ...] = WIRING
) -> Path:
    """Write a bench with the analyzer ``b1500`` and return where it is."""
    lines = [
        "version: 1",
        "name: t",
        "instruments:",
        f'  b1500: {{driver: keysight-b1500a, address: "{address}", backend: "@pcm",',
        f"          simulated: {{model: keysight-b1500a, options: {options}}}}}",
        "wiring:",
        *(f"  - {wire}" for wire in wiring),
    ]
    path = tmp_path / "bench.yaml"
    path.write_text("\n".join(lines) + "\n")
    return path


def plain(path: Path, address: str = ADDRESS) -> Any:
    """Open the analyzer as any program would."""
    resource = pyvisa.ResourceManager(f"{path}@pcm").open_resource(address)
    resource.read_termination = resource.write_termination = "\r\n"
    resource.timeout = 200
    return resource


def drained(resource: Any) -> list[str]:
    """Return and forget its errors."""
    found = []
    while (entry := resource.query("ERRX?")) != '+0,"No Error."':
        found.append(entry)
    return found


def driver(path: Path, **options: Any) -> KeysightB1500:
    """Open the driver."""
    return KeysightB1500.open(ADDRESS, backend=f"{path}@pcm", **options)
