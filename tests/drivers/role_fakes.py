"""A bench of instruments by their roles, with true cells behind: a source-meter, a pulse generator, relays.

Nothing is a wire protocol here: :mod:`drivers.discrete` sees methods. Relays remember whether they were switched under
voltage, cells count the pulses they really had, and every call costs messages and time.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.chip import BoardError, Identity
from drivers.discrete import DiscreteChip, DiscreteParts, DiscreteSettings
from drivers.discrete_journal import Journal
from drivers.discrete_routes import CellWay, CellWays
from drivers.errors import InstrumentError, LinkError
from drivers.roles import Burst, PulseLimits, PulseShape, Trace

LIMITS = PulseLimits(
    rise_s=(1e-9, 1e-3),
    top_s=(1e-9, 1.0),
    fall_s=(1e-9, 1e-3),
    period_s=(1e-8, 1000.0),
    open_v=(0.0, 10.0),
    source_ohm=50.0,
    count_max=1000,
)
ON_OHM = 6000.0
MESSAGE_S = 0.4e-3
RELAY_S = 15e-3


class RoleBench:
    """Cells between a matrix and ground, and what stands at the matrix.

    Parameters
    ----------
    cells
        A simulated chip, or a fake one.
    clean : bool
        The source-meter reads without steps and without noise of its own.
    """

    def __init__(self, cells: Any, *, matrix: bool = True, word_lines: bool = False) -> None:
        self.cells = cells
        self.now_ns = 1_000_000_000
        self.closed: frozenset[tuple[str, int]] = frozenset()
        self.hot = 0
        self.order: list[str] = []
        self.before: Callable[[str], object] | None = None
        self.smu, self.pulser = FakeSmu(self, "smu"), FakePulser(self, "pulser")
        self.gate = FakeSmu(self, "gate") if word_lines else None
        self.matrix = FakeMatrix(self, "matrix") if matrix else None
        self.scope = FakeScope(self, "scope")
        self.thermometer: Any = None
        self.simulation: Any = None
        self.cols = cells.cols

    # ---- what the instruments tell it -----------------------------------------------------------------------
    def said(self, name: str, what: str) -> None:
        if self.before is not None:
            self.before(f"{name} {what}")
        self.order.append(f"{name} {what}")
        self.now_ns += round(MESSAGE_S * 1e9)

    @property
    def sources(self) -> list[FakeSource]:
        return [one for one in (self.smu, self.pulser, self.gate) if one is not None]

    def cell_at(self, row: str) -> int | None:
        """Cell a row of the matrix is connected to now; with word lines only where its gate is held too."""
        if self.matrix is None:
            idle = self.pulser if row == "A" else self.smu
            assert idle.opened, "a source at 0 V takes what the other one gives"
            return 0
        columns = [column for letter, column in self.closed if letter == row]
        if not columns:
            return None
        assert len(columns) == 1, "two cells at once"
        if self.gate is None:
            return columns[0] - 1
        gates = [column for letter, column in self.closed if letter == "C"]
        if not gates or self.gate.level_v < 1.0:
            return None
        return (gates[0] - 1 - self.cols) * self.cols + columns[0] - 1

    # ---- the chip ---------------------------------------------------------------------------------------------
    def ways(self) -> CellWays:
        number = self.cells.cells
        if self.matrix is None:
            return CellWays({0: CellWay(frozenset(), 0.0)}, {0: CellWay(frozenset(), 0.0)})

        def way(row: str, cell: int) -> CellWay:
            if self.gate is None:
                return CellWay(frozenset({(row, cell + 1)}), 0.0)
            line, gate = cell % self.cols, self.cols + cell // self.cols
            return CellWay(frozenset({(row, line + 1), ("C", gate + 1)}), 0.0)

        return CellWays(*({cell: way(row, cell) for cell in range(number)} for row in "AB"))

    def chip(
        self, journal: Journal | None = None, *, settings: DiscreteSettings | None = None, **options: Any
    ) -> DiscreteChip:
        """A chip of these instruments; a journal in memory unless one is given."""
        instruments = {one.name: one for one in (*self.sources, self.matrix, self.scope) if one is not None}
        parts = DiscreteParts(
            self.smu,
            self.pulser,
            word_line=self.gate,
            matrix=self.matrix,
            thermometer=self.thermometer,
            scope=self.scope,
            scope_channel="1",
            instruments=instruments,
            sources_in=tuple(one.name for one in self.sources),
        )
        return DiscreteChip(
            "cells",
            self.cells.rows,
            self.cells.cols,
            parts,
            self.ways(),
            journal or Journal(None, self.cells.cells),
            settings=settings or DiscreteSettings(on_ohm=ON_OHM, holding_v=0.0, relay_ohm=0.0),
            simulation=self.simulation,
            **options,
        )

    def ready(self, journal: Journal | None = None, **options: Any) -> DiscreteChip:
        chip = self.chip(journal, **options)
        chip.power(True)
        chip.outputs(True)
        return chip

    def pulses(self, cells: NDArray[np.uint32]) -> NDArray[Any]:
        """Pulses cells have really had."""
        found: NDArray[Any] = self.cells.pulses(cells)
        return found


class FakeInstrument:
    def __init__(self, bench: RoleBench, name: str) -> None:
        self.bench, self.name = bench, name
        self.link = SimpleNamespace(messages=0, reopen=self._reopened)
        self.broken = False
        self.failing: str | None = None
        self.waiting: list[BoardError] = []
        self.closed = False
        self.made_safe = 0

    def _reopened(self) -> None:
        self.broken = False

    def tell(self, what: str) -> None:
        if self.broken:
            raise LinkError(f"the link to {self.name} is closed; open it again", address=self.name)
        self.link.messages += 1
        self.bench.said(self.name, what)
        if self.failing is not None and what.startswith(self.failing):
            self.failing = None
            raise InstrumentError(f"{self.name} refuses", errors=(BoardError(-240, "Hardware error"),))

    def identify(self) -> Identity:
        return Identity("Fakes", self.name.upper(), "7", "1.0", simulated=False)

    def snapshot(self) -> dict[str, Any]:
        return {"identity": {"model": self.name.upper()}, "settings": {}}

    def errors(self) -> list[BoardError]:
        found, self.waiting = self.waiting, []
        return found

    def make_safe(self) -> None:
        self.tell("off")
        self.made_safe += 1

    def safe(self) -> None:
        self.broken = False
        self.make_safe()

    def close(self) -> None:
        self.closed = True


class FakeSource(FakeInstrument):
    level_v = 0.0
    opened = False

    def zero(self) -> None:
        self.tell("zero")
        self.level_v, self.opened = 0.0, False

    def switch_off(self) -> None:
        self.tell("open")
        assert self.level_v == 0.0
        self.opened = True

    def make_safe(self) -> None:
        super().make_safe()
        self.level_v = 0.0


class FakeSmu(FakeSource):
    def burst(
        self, level_v: float, *, samples: int, aperture_s: float, limit_a: float, range_a: float | None = None
    ) -> Burst:
        self.tell(f"burst {level_v:g}")
        bench = self.bench
        cell = bench.cell_at("A")
        middle_ns = bench.now_ns + round(5e8 * samples * aperture_s)
        bench.now_ns += round(1e9 * samples * aperture_s)
        amperes = np.zeros(1)
        if cell is not None:
            amperes = bench.cells.read(
                np.array([cell], np.uint32),
                np.array([middle_ns], np.int64),
                voltage_v=level_v,
                samples=samples,
                aperture_s=aperture_s,
                spacing_s=aperture_s,
                ranges_a=[1e-2],
                adc_bits=28,
                adc_zero=1 << 26,
            )[0].astype(np.float64)
        limited = np.abs(amperes) > limit_a
        amperes = np.where(limited, limit_a, amperes)
        times = np.arange(samples) * aperture_s
        every = np.ones(samples)
        return Burst(level_v * every, amperes[0] * every, np.broadcast_to(limited, (samples,)), times)

    def hold(self, level_v: float, *, limit_a: float) -> None:
        self.tell(f"hold {level_v:g}")
        self.level_v = level_v


class FakePulser(FakeSource):
    shape: PulseShape | None = None

    def pulse_limits(self) -> PulseLimits:
        return LIMITS

    def prepare(self, shape: PulseShape) -> None:
        self.tell("prepare")
        self.shape = shape

    def fire(self, open_v: float, count: int = 1) -> None:
        assert self.shape is not None
        self.tell(f"fire {open_v:g}")
        bench, shape = self.bench, self.shape
        bench.now_ns += round(1e9 * shape.period_s * count)
        cell = bench.cell_at("B")
        if cell is None:
            return
        bench.scope.seen_v = open_v
        bench.cells.pulse(
            np.array([cell], np.uint32),
            np.array([open_v / (50.0 + ON_OHM)], np.float32),
            np.array([bench.now_ns], np.int64),
            rise_s=shape.rise_s,
            top_s=shape.top_s,
            fall_s=shape.fall_s,
            count=count,
        )


class FakeMatrix(FakeInstrument):
    settle_s = RELAY_S

    def connect(self, crosspoints: frozenset[tuple[str, int]]) -> None:
        self.tell("connect")
        self._switch(crosspoints)

    def _switch(self, crosspoints: frozenset[tuple[str, int]]) -> None:
        if crosspoints != self.bench.closed and any(source.level_v for source in self.bench.sources):
            self.bench.hot += 1
        self.bench.closed = crosspoints
        self.bench.now_ns += round(self.settle_s * 1e9)

    def closed_now(self) -> frozenset[tuple[str, int]]:
        return self.bench.closed

    def make_safe(self) -> None:
        super().make_safe()
        self._switch(frozenset())


class FakeScope(FakeInstrument):
    armed: tuple[str, float, float] | None = None
    seen_v = 0.0

    def arm(self, channel: str, *, level_v: float, window_s: float) -> None:
        self.tell("arm")
        self.armed = (channel, level_v, window_s)

    def trace(self, channel: str) -> Trace:
        self.tell("trace")
        return Trace(np.linspace(0.0, 1e-7, 5), np.array([0.0, 1.0, 1.0, 1.0, 0.0]) * self.seen_v)
