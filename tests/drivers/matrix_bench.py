"""A bench with a 707B between a source-meter and cells or resistors, and ways to talk to it as any program would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyvisa

from drivers.simulated.registry import SimulatedBench, open_bench

SOCKET, GPIB = "TCPIP0::matrix::5025::SOCKET", "GPIB0::18::INSTR"
SMU = "TCPIP0::smu::5025::SOCKET"

_TEMPLATE = """version: 1
name: t
instruments:
  matrix: {{driver: keithley-707b, address: "{address}", backend: "@pcm",
           simulated: {{model: {model}, options: {{{options}}}}}}}
  smu: {{driver: keithley-2600, address: "{smu}", backend: "@pcm", simulated: {{model: keithley-2636b}}}}
wiring:
  - smu.a -- matrix.A
  - smu.b -- matrix.B
  - matrix.1 -- 10 kOhm -- ground
  - matrix.2 -- 20 kOhm -- ground
  - matrix.13 -- 40 kOhm -- ground
"""


@dataclass
class MatrixBench:
    """A bench file and what stands behind it."""

    path: Path
    address: str
    bench: SimulatedBench
    managers: list[Any] = field(default_factory=list)

    @property
    def backend(self) -> str:
        return f"{self.path}@pcm"

    @property
    def twin(self) -> Any:
        return self.bench.twins["matrix"].twin

    def open(self, address: str = "") -> Any:
        """Open an instrument as any program would."""
        manager = pyvisa.ResourceManager(self.backend)
        self.managers.append(manager)
        return manager.open_resource(
            address or self.address, read_termination="\n", write_termination="\n", timeout=300
        )

    @property
    def now_s(self) -> float:
        return self.bench.world.now_ns * 1e-9


@contextmanager
def matrix_bench(
    folder: Path, *, address: str = SOCKET, model: str = "keithley-707b", options: str = ""
) -> Iterator[MatrixBench]:
    path = folder / "bench.yaml"
    path.write_text(_TEMPLATE.format(address=address, model=model, options=options, smu=SMU))
    with open_bench(path) as bench:
        matrix = MatrixBench(path, address, bench)
        yield matrix
        for manager in matrix.managers:
            manager.close()
