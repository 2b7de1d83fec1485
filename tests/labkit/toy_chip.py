"""A chip of a few cells in memory that writes down what is done to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.chip import (
    Batch,
    BatchReport,
    BoardError,
    Drive,
    Geometry,
    Identity,
    Limits,
    Reading,
    ReadSetup,
    State,
)
from drivers.errors import BatchRefused, DriverError

LIMITS = Limits.from_json(
    {
        "block_max": 1 << 24,
        "par_prog": 32,
        "par_read": 64,
        "t_rise": [5e-9, 1e-3],
        "t_top": [5e-9, 1e-2],
        "t_fall": [5e-9, 1e-2],
        "t_off_min": 4e-8,
        "period_max": 1.0,
        "i_max": 5e-4,
        "v_max": 3.3,
        "v_read": [0.02, 0.4],
        "read_aver": [1, 65536],
        "read_aper": [1e-7, 1e-2],
        "read_ovh": 1e-6,
        "read_rang": [1e-7, 1e-6, 1e-5, 1e-4],
        "adc_bits": 8,
        "adc_zero": 8,
        "form_prog": ["U8"],
        "form_read": ["COND32"],
        "puls_unit": ["A", "V"],
        "sel_max": 64,
        "puls_max": 32,
        "clock_hz": 200000000,
        "cycl": 1,
        "prog_tst": 1,
    }
)


class ToyError(DriverError):
    pass


class ToyChip:
    """Reads 10 uS everywhere; `done` lists every call that changes the board."""

    def __init__(self, rows: int = 4, cols: int = 8, counted: int = 0) -> None:
        self.done: list[Any] = []
        self.batches: list[Batch] = []
        self.refuse = False
        self.fail: dict[str, Exception] = {}
        self.queue: list[BoardError] = []
        self.report = BatchReport(0, False, State.IDLE, 0, 0, 0, 0, 0, 0, 0)
        self.flags = np.zeros(0, np.uint8)
        self.counted = np.full(rows * cols, counted, np.uint32)
        self.during: Callable[[str], None] = lambda name: None
        self.on = False
        self.connected = False
        self.latched = False
        self.closed = False
        self._geometry = Geometry(1, rows, cols)
        self._clock_ns = 0

    def _do(self, name: str, note: Any = None) -> None:
        self.done.append(name if note is None else (name, note))
        self.during(name)
        if name in self.fail:
            raise self.fail[name]

    def identify(self) -> Identity:
        return Identity("PCMLAB", "TOY", "0001", "1.0.0", simulated=False)

    def capabilities(self) -> frozenset[str]:
        return frozenset({"CORE"})

    def geometry(self) -> Geometry:
        return self._geometry

    def limits(self) -> Limits:
        return LIMITS

    def boot_id(self) -> int:
        return 77

    def clock_ns(self) -> int:
        self._clock_ns += 1000
        return self._clock_ns

    def set_epoch(self, unix_ns: int) -> int:
        self._do("epoch", unix_ns)
        return self.clock_ns()

    def errors(self) -> list[BoardError]:
        found, self.queue = self.queue, []
        return found

    def power(self, on: bool) -> None:
        self._do("power", on)
        if on and self.latched:
            raise ToyError("latched")
        self.on, self.latched = on, False
        self.connected = self.connected and on

    def outputs(self, on: bool) -> None:
        self._do("outputs", on)
        if on and not self.on:
            raise ToyError("power is off")
        self.connected = on

    def safe(self) -> None:
        self.done.append("safe")
        self.on, self.connected, self.latched = False, False, True

    def abort(self) -> None:
        self._do("abort")

    def mask(self, cells: NDArray[np.uint32]) -> None:
        self._do("mask", cells.tolist())

    def next_batch_id(self) -> int:
        return len(self.batches) + 1

    def program(self, batch: Batch) -> None:
        if self.refuse:
            raise BatchRefused("endurance guard")
        self.batches.append(batch)
        self._do("program", batch.id)

    def last_batch(self) -> BatchReport:
        return self.report

    def batch_flags(self) -> NDArray[np.uint8]:
        return self.flags

    def pulse_times_ns(self) -> NDArray[np.uint64]:
        return np.zeros(0, np.uint64)

    def cycles(self, cells: NDArray[np.uint32]) -> NDArray[np.uint32]:
        return self.counted[cells]

    def read(self, cells: NDArray[np.uint32], setup: ReadSetup, *, stamps: bool = True) -> Reading:
        self._do("read", cells.tolist())
        flags = np.zeros(cells.size, np.uint8)
        return Reading(np.full(cells.size, 10e-6, np.float32), flags, None, 1, self.clock_ns(), 0)

    def wait(self, timeout_s: float) -> State:
        return State.DONE

    def temperature_k(self) -> float | None:
        return None

    def messages(self) -> int:
        return len(self.done)

    def close(self) -> None:
        self._do("close")
        self.closed = True


def write_bench(folder: Path, *, address: str = "TCPIP0::board::5025::SOCKET", extra: str = "") -> Path:
    path = folder / "bench.yaml"
    path.write_text(
        "version: 1\nname: toy bench\ninstruments:\n  chip:\n    driver: pcm-controller\n"
        f"    address: {address}\n{extra}"
    )
    return path


__all__ = ["LIMITS", "Drive", "ToyChip", "ToyError", "write_bench"]
