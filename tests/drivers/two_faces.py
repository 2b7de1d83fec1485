"""The real driver's view of a simulated board: through the bench in this process, or through a TCP socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from simulated_bench import SOCKET, use_fake_boards

from drivers.chip import Batch, Pulse
from drivers.controller import PcmController
from drivers.simulated import server as served
from drivers.simulated.controller import SimulatedController
from drivers.simulated.controller_limits import BoardLimits
from drivers.simulated.registry import SimulatedBench, open_bench
from drivers.visa import VisaLink

FACES = ("process", "socket")
PULSE = Pulse(rise_s=5e-9, top_s=5e-8, fall_s=5e-9, period_s=1e-6, full_scale=5e-4)


class Face:
    """A board and where the driver finds it; `lines` is the transcript of all links opened here."""

    def __init__(self, bench: SimulatedBench, address: str, backend: str) -> None:
        self.bench, self.address, self.backend = bench, address, backend
        self.lines: list[str] = []
        self.before: Callable[[str], object] | None = None

    @property
    def board(self) -> SimulatedController:
        return self.bench.named("chip").board

    @property
    def over_socket(self) -> bool:
        return self.backend == "@py"

    def note(self, line: str) -> None:
        """Write the transcript down; `before` sees every message before it is sent."""
        self.lines.append(line)
        if self.before is not None and line.startswith(">"):
            self.before(line)

    def sent(self) -> list[str]:
        return [line for line in self.lines if line.startswith(">")]

    def open(self, timeout_s: float = 20.0) -> PcmController:
        return PcmController.open(
            self.address, backend=self.backend, timeout_s=timeout_s, transcript=self.note
        )

    def ready(self, timeout_s: float = 20.0) -> PcmController:
        """Open the driver and switch the array on."""
        chip = self.open(timeout_s)
        chip.power(True)
        chip.outputs(True)
        self.lines.clear()
        return chip

    def link(self, timeout_s: float = 20.0) -> VisaLink:
        return VisaLink(self.address, backend=self.backend, timeout_s=timeout_s, transcript=self.note)

    def arm(self, name: str, *arguments: object) -> None:
        """Arm a fault behind the driver's back, for its very next message."""
        with self.board.lock:
            self.board.faults.arm(name, *arguments)

    def count(self) -> NDArray[np.uint32]:
        """Pulses each cell of the chip has had."""
        with self.board.lock:
            counted: NDArray[np.uint32] = self.board.chip.count.copy()
        return counted

    def shrink_blocks(self, block_max: int) -> None:
        """Give the board another largest block; only links opened later obey it."""
        limits = self.board.limits
        text = limits.text.replace('"block_max":16777216', f'"block_max":{block_max}')
        self.board.limits = BoardLimits(text, {**limits.values, "block_max": block_max})
        self.board.block_max = block_max


def opened(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **options: Any) -> Iterator[Face]:
    """Yield a face of a fresh board of 16 x 16 cells, unless told otherwise."""
    use_fake_boards(monkeypatch, **options)
    monkeypatch.setattr(served, "_IDLE_S", 0.02)  # or every server would take a fifth of a second to stop
    path = tmp_path / "bench.yaml"
    with open_bench(path) as bench:
        if kind == "process":
            yield Face(bench, SOCKET, f"{path}@pcm")
        else:
            with served.InstrumentServer(bench.named("chip"), 0) as server:
                yield Face(bench, server.address, "@py")


def all_cells(chip: PcmController) -> NDArray[np.uint32]:
    return np.arange(chip.geometry().cells, dtype=np.uint32)


def batch(
    chip: PcmController,
    cells: NDArray[np.uint32] | list[int] | None = None,
    amplitude: Any = 1e-4,
    *,
    pulse: Pulse = PULSE,
    count: int = 1,
    batch_id: int | None = None,
) -> Batch:
    """Make the next batch."""
    chosen = all_cells(chip) if cells is None else np.asarray(cells, np.uint32)
    amplitudes = np.broadcast_to(np.asarray(amplitude, np.float32), chosen.shape)
    number = chip.next_batch_id() if batch_id is None else batch_id
    return Batch(number, chosen, pulse, np.array(amplitudes), count)
