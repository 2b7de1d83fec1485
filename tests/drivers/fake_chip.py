"""A chip without physics for tests of the controller: each cell's conductance tells its index and its last pulse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration import DeviceCard
from drivers.simulated.controller import SimulatedController
from drivers.simulated.controller_limits import BoardLimits
from drivers.simulated.scpi import Connection

BASE_S = 1e-6
PULSED_S = 20e-6


def unpulsed(cells: NDArray[np.uint32]) -> NDArray[np.float32]:
    """What such a chip holds in cells that had no pulse: each its own value."""
    return (BASE_S + cells * 1e-9).astype(np.float32)


@cache
def ideal_card() -> DeviceCard:
    """A device without drift, noise, lines or errors of its columns."""
    return DeviceCard.load("ibm90").without("all")


class FakeChip:
    """Unpulsed cells lie at 1 uS plus a step per cell; a pulse of A ampere moves a cell to 20 uS times A / 0.5 mA."""

    drive_resistance_ohm = 5000.0
    mode, strict = "physics", False

    def __init__(self, banks: int = 1, rows: int = 16, cols: int = 16, seed: int = 7) -> None:
        self.banks, self.rows, self.cols, self.seed = banks, rows, cols, seed
        self.cells = banks * rows * cols
        self.temperatures: list[tuple[float, int]] = []
        self.conductance_s = unpulsed(np.arange(self.cells, dtype=np.uint32))
        self.count = np.zeros(self.cells, np.uint32)
        self.last_end_ns = np.zeros(self.cells, np.int64)
        self.stuck: dict[int, str] = {}
        self.on_pulse: Callable[[], None] | None = None
        self.shapes: list[tuple[float, float, float, int]] = []
        self.card = ideal_card()
        self.column_gain = np.ones(cols, np.float32)
        self.column_offset_a = np.zeros(cols, np.float32)
        self.observed: list[tuple[int, int, float]] = []

    def pulse(
        self,
        cells: NDArray[np.uint32],
        amplitude_a: NDArray[np.float32],
        end_ns: NDArray[np.int64],
        *,
        rise_s: float,
        top_s: float,
        fall_s: float,
        count: int = 1,
    ) -> None:
        if self.on_pulse is not None:
            self.on_pulse()
        self.shapes.append((rise_s, top_s, fall_s, count))
        self.count[cells] += np.uint32(count)
        self.last_end_ns[cells] = end_ns
        self.conductance_s[cells] = PULSED_S * amplitude_a / np.float32(5e-4)

    def read(
        self,
        cells: NDArray[np.uint32],
        at_ns: NDArray[np.int64],
        *,
        voltage_v: float,
        samples: int,
        aperture_s: float,
        spacing_s: float,
        ranges_a: Sequence[float],
        adc_bits: int,
        adc_zero: int,
        offset_a: float = 0.0,
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        current = self.conductance_s[cells] * np.float32(voltage_v) + np.float32(offset_a)
        flags = np.where(current > max(ranges_a) * (1 - adc_zero / 2**adc_bits), 1, 0).astype(np.uint8)
        current[flags == 1] = np.nan
        return current, flags

    def observe(
        self,
        cells: NDArray[np.uint32],
        at_ns: NDArray[np.int64],
        *,
        voltage_v: float,
        samples: int,
        aperture_s: float,
        spacing_s: float,
        held_from_s: float,
        stress_v: float | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.observed.append((len(cells), int(at_ns[0]) if len(cells) else 0, held_from_s))
        return self.conductance_s[cells], np.zeros(len(cells), np.float32)

    def truth(self, cells: NDArray[np.uint32], now_ns: int) -> NDArray[np.float32]:
        return self.conductance_s[cells]

    def pulses(self, cells: NDArray[np.uint32]) -> NDArray[np.uint32]:
        return self.count[cells]

    def set_temperature(self, kelvin: float, at_ns: int) -> None:
        self.temperatures.append((kelvin, at_ns))

    def excursions(self, cells: NDArray[np.uint32], at_ns: int, *, pulses: bool = False) -> list[Any]:
        return []

    def health(self, cells: NDArray[np.uint32]) -> NDArray[np.uint8]:
        return np.zeros(cells.size, np.uint8)

    def stick(self, cell: int, kind: str) -> None:
        self.stuck[cell] = kind


class FakeState(SimpleNamespace):
    """State in memory."""

    def __init__(self, chip: FakeChip) -> None:
        super().__init__(chip=chip, board={}, arrays={}, saves=0, closed=False)

    def save(self) -> None:
        self.saves += 1

    def close(self) -> None:
        self.save()
        self.closed = True


def make_board(
    rows: int = 16, cols: int = 16, limits: dict[str, Any] | None = None, **options: Any
) -> SimulatedController:
    """A board around a fake chip of one bank; `limits` are those of ``BoardLimits.of``."""
    state = FakeState(FakeChip(1, rows, cols))
    return SimulatedController(
        state,
        make_chip=lambda seed: FakeChip(1, rows, cols, seed),
        limits=BoardLimits.of(1, rows, cols, **(limits or {})),
        **options,
    )


class Host:
    """A host on one link: sends text, takes replies."""

    def __init__(self, board: SimulatedController, token: str | None = "host") -> None:
        self.board = board
        self.link: Connection = board.connect()
        if token is not None:
            assert self.ask(f'SYST:LOCK:REQ? "{token}"') in ("1", "2")

    def send(self, *parts: str | bytes) -> None:
        self.link.feed(
            b"".join(part.encode("latin-1") if isinstance(part, str) else part for part in parts) + b"\n"
        )

    def take(self) -> bytes:
        out = self.link.output
        got = bytearray()
        while out.ready:
            piece = out.peek()
            got += piece
            out.skip(len(piece))
        return bytes(got)

    def ask(self, *parts: str | bytes) -> str:
        self.send(*parts)
        answer = self.take().decode("latin-1")
        return answer.removesuffix("\n")

    def errors(self) -> list[str]:
        found = []
        while (entry := self.ask("SYST:ERR?")) != '0,"No error"':
            found.append(entry)
        return found

    def energise(self) -> None:
        assert self.ask("ARR:POW ON;*WAI;:OUTP ON;*OPC?") == "1"

    def template(self, index: int = 2, full_scale: str = "5E-4") -> None:
        self.send(
            f"PULS:DEF {index},5E-9,5E-8,5E-9,1E-6;KIND {index},RES;UNIT {index},A;FSC {index},{full_scale}"
        )


def definite(data: bytes) -> bytes:
    size = str(len(data)).encode()
    return b"#" + str(len(size)).encode() + size + data


def payload(answer: bytes | str) -> bytes:
    """Contents of the block at the end of a reply."""
    raw = answer.encode("latin-1") if isinstance(answer, str) else answer
    at = raw.index(b"#")
    digits = int(raw[at + 1 : at + 2])
    size = int(raw[at + 2 : at + 2 + digits])
    return raw[at + 2 + digits : at + 2 + digits + size]
