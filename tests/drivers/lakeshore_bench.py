"""A bench with a Lake Shore and its stage, for tests: the file, the twin behind it, and its time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyvisa

from drivers.simulated.registry import SimulatedBench, open_bench

SOCKET = "TCPIP0::tc::7777::SOCKET"
GPIB = "GPIB0::12::INSTR"
SERIAL = "ASRL3::INSTR"


@dataclass
class LakeBench:
    """A bench file and what stands behind it."""

    path: Path
    address: str
    bench: SimulatedBench
    managers: list[Any] = field(default_factory=list)
    told_k: list[float] = field(default_factory=list)

    @property
    def backend(self) -> str:
        return f"{self.path}@pcm"

    def open(self) -> Any:
        """Open it as any program would."""
        manager = pyvisa.ResourceManager(self.backend)
        self.managers.append(manager)
        return manager.open_resource(
            self.address, read_termination="\r\n", write_termination="\r\n", timeout=300
        )

    @property
    def twin(self) -> Any:
        return self.bench.twins["tc"].twin

    @property
    def stage_k(self) -> float:
        """What the bench was told."""
        return self.told_k[-1]

    def sleep(self, seconds: float) -> None:
        with self.bench.world.lock:
            self.bench.world.pass_s(seconds)

    def clock(self) -> float:
        return self.bench.world.now_ns * 1e-9


@contextmanager
def lake_bench(
    folder: Path, *, address: str = SOCKET, model: str = "lakeshore-336", options: str = ""
) -> Iterator[LakeBench]:
    options = options or "noise_k: 0.0, accuracy_k: 0.0"
    path = folder / "bench.yaml"
    path.write_text(
        "version: 1\nname: t\ninstruments:\n"
        f'  tc: {{driver: lakeshore-336, address: "{address}", backend: "@pcm", '
        f"simulated: {{model: {model}, options: {{{options}}}}}}}\n"
    )
    with open_bench(path) as bench:
        lake = LakeBench(path, address, bench)
        heat = bench.world.heat
        bench.world.heat = lambda kelvin: (lake.told_k.append(kelvin), heat(kelvin))[1]  # type: ignore[method-assign]
        yield lake
        for manager in lake.managers:
            manager.close()
