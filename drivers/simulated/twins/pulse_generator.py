"""What all simulated pulse and function generators do: levels and times, output, bursts, stored waveforms.

A triggered burst is played at the bench from the moment of its trigger, and the command returns when it is over. A
generator that runs free gives a waveform nobody waits for: it presents the mean of its waveform, a constant voltage,
and that is all a cell sees of it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from drivers.simulated.locks import FairLock
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.terminals import Bench, Opened, Volts, Wave
from drivers.simulated.twin import TwinLink
from drivers.simulated.twins.arb_memory import ARB_TEXTS, ArbMemory
from drivers.simulated.twins.generator_levels import INSIDE_OHM, LevelLimits, level_rows
from drivers.simulated.twins.generator_timing import TimingLimits, timing_rows
from drivers.simulated.twins.scpi_settings import Setting, nr3
from drivers.simulated.twins.scpi_twin import ScpiTwin
from drivers.simulated.twins.wave_shapes import Drawn, arbitrary, pulse, ramp, sine, square

__all__ = ["PulseGenerator"]

_NOISE_POINTS = 2000
_SQUARE_EDGE_S = 2.5e-9


class PulseGenerator(ScpiTwin):
    """A generator with one or two channels.

    Parameters
    ----------
    name, bench, lock, maker, model, serial, firmware
        As of :class:`~drivers.simulated.twins.scpi_twin.ScpiTwin`.
    channels : int

    Attributes
    ----------
    levels, timing : LevelLimits, TimingLimits
    headers : mapping of str to tuple of str
        Headers of the settings by name.
    shapes : tuple of str
        Words of the shapes.
    arb_shape : str
        The shape that plays a stored waveform.
    count_max : int
        Cycles of a burst.
    slots : int
        Waveforms that can be stored under a name.
    load_reply : callable, optional
        Spells the load, where it is spelled unlike other numbers.
    """

    levels: LevelLimits
    timing: TimingLimits
    headers: Mapping[str, tuple[str, ...]]
    shapes: ClassVar[tuple[str, ...]]
    arb_shape: ClassVar[str]
    count_max: int = 2_147_483_647
    slots: ClassVar[int] = 4
    load_reply: Callable[[float], str] | None = None
    plus = True
    joint = "; "
    texts: ClassVar[Mapping[int, str]] = ARB_TEXTS
    number: Callable[[float], str] = staticmethod(nr3())

    def __init__(
        self, name: str, bench: Bench, lock: FairLock, *, channels: int = 2, **identity: str
    ) -> None:
        self.channels = channels
        self.arbs = {n: ArbMemory(self.slots) for n in range(1, channels + 1)}
        self._noise = {n: bench.random(name, "noise", str(n)) for n in range(1, channels + 1)}
        super().__init__(name, bench, lock, **identity)
        self._present_all()

    def rows(self) -> list[Setting]:
        """Return settings of levels and times, and those of the model."""
        return [
            *level_rows(self.headers, self.levels, self.load_reply),
            *timing_rows(self.headers, self.timing, self.shapes),
            *self.more_rows(),
        ]

    # ---- what a model states --------------------------------------------------------------------------------
    @abstractmethod
    def more_rows(self) -> list[Setting]:
        """Return the settings of output, trigger and burst; `output`, `polarity` and `arb` are among them."""

    @abstractmethod
    def waits(self, n: int) -> bool:
        """Whether the channel waits for triggers; otherwise it runs free."""

    @abstractmethod
    def takes_bus_trigger(self, n: int) -> bool:
        """Whether ``*TRG`` and the interface's trigger start the channel."""

    @abstractmethod
    def count(self, n: int) -> int:
        """Cycles per trigger."""

    @abstractmethod
    def repetition_s(self, n: int) -> float | None:
        """Seconds from burst to burst of a channel that triggers itself, None where it does not stop between."""

    @abstractmethod
    def stops_bursts(self, n: int) -> None:
        """Let a channel run free."""

    # ---- acting ---------------------------------------------------------------------------------------------
    def changed(self, name: str, n: int) -> None:
        """Show at the terminals what a setting changed."""
        self._present(n)

    def reset(self) -> None:
        """Open the outputs, forget the volatile waveforms."""
        for memory in self.arbs.values():
            memory.volatile = None
        self._present_all()

    def recalled(self) -> None:
        """Show the settings that came back."""
        self._present_all()

    def apply(self, n: int, shape: str, frequency: Any, amplitude: Any, offset: Any) -> None:
        """Act on APPLy: a free-running waveform with the output on; parameters as of their settings."""
        wanted = {"frequency": frequency, "amplitude": amplitude, "offset": offset}
        for name in {"DC": ("frequency", "amplitude"), "NOIS": ("frequency",)}.get(shape, ()):
            del wanted[name]
        rows = self.settings.rows
        self.stops_bursts(n)
        self.settings.change(rows["shape"], n, shape)
        half = (self.get("high_open", n) - self.get("low_open", n)) / 2
        self.put("high_open", half, n)  # an offset of before would be in the way
        self.put("low_open", -half, n)
        for name, sent in wanted.items():
            row = rows[name]
            self.settings.change(row, n, row.kind.taken(self, row, n, sent))
        self.put("output", True, n)
        self.changed("output", n)

    def trigger(self, link: TwinLink) -> None:
        """Start every channel that waits for such a trigger."""
        ready = [n for n in self.arbs if self.waits(n) and self.takes_bus_trigger(n)]
        if not ready:
            raise ScpiError(-211)
        self.fire(ready)

    def fire(self, channels: list[int]) -> None:
        """Play the bursts of these channels at the bench, all from now on."""
        waves, longest = {}, 0.0
        for n in channels:
            drawn = self.drawn(n, triggered=True)
            period = self.cycle_s(n)
            longest = max(longest, (self.count(n) - 1) * period + float(drawn.t_s[-1]))
            for socket, mirrored in self._sockets(n):
                waves[socket] = Wave(
                    drawn.t_s,
                    self._volts(n, drawn.level, mirrored=mirrored),
                    series_ohm=INSIDE_OHM,
                    count=self.count(n),
                    period_s=period,
                )
        began_ns = self.bench.now_ns
        if waves:
            self.bench.play(waves)
        self.bench.pass_s(max(0.0, longest - (self.bench.now_ns - began_ns) / 1e9))
        for n in channels:
            self._present(n)

    # ---- what the terminals see -----------------------------------------------------------------------------
    def drawn(self, n: int, *, triggered: bool = False) -> Drawn:
        """Return one period of a channel; a single triggered pulse does not wait for the end of its period."""
        shape, period = self.get("shape", n), self.cycle_s(n)
        if shape == "PULS":
            width, lead, trail, delay = (
                float(self.get(name, n)) for name in ("width", "lead", "trail", "delay")
            )
            return pulse(width, lead, trail, delay, period_s=0.0 if triggered else period)
        if shape == "SQU":
            return square(period, float(self.get("square_duty", n)) / 100, _SQUARE_EDGE_S)
        if shape in ("RAMP", "TRI"):
            return ramp(period, float(self.get("symmetry", n)) / 100 if shape == "RAMP" else 0.5)
        if shape == "SIN":
            return sine(period)
        if shape in ("NOIS", "PRBS"):
            values = self._noise[n].uniform(0.0, 1.0, _NOISE_POINTS)
            return Drawn(np.linspace(0.0, period, _NOISE_POINTS), values)
        if shape == self.arb_shape:
            return arbitrary(self.arb_points(n), period, steps=self.arb_steps(n))
        return Drawn(np.array([0.0, period]), np.array([0.5, 0.5]))

    def cycle_s(self, n: int) -> float:
        """Return the seconds of one cycle of what is given."""
        return float(self.get("period", n))

    def arb_points(self, n: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return the selected stored waveform, values from -1 to 1."""
        return self.arbs[n].find(self.get("arb", n))

    def arb_steps(self, n: int) -> bool:
        """Whether a stored waveform is held from point to point."""
        return False

    def _volts(self, n: int, level: Any, *, mirrored: bool = False) -> Any:
        """Return open-circuit volts of levels from 0 to 1."""
        high, low = float(self.get("high_open", n)), float(self.get("low_open", n))
        inverted = (self.get("polarity", n) == "INV") != mirrored
        return high - (high - low) * level if inverted else low + (high - low) * level

    def _idle(self, n: int) -> float:
        """Return the level, 0 to 1, between two bursts."""
        shape = self.get("shape", n)
        return float(self.drawn(n, triggered=True).level[0]) if shape not in ("NOIS", "PRBS") else 0.5

    def _mean(self, n: int) -> float:
        """Return the mean level, 0 to 1, of what is given while nothing is triggered from outside."""
        if self.waits(n):
            return self._idle(n)
        mean = 0.5 if self.get("shape", n) in ("NOIS", "PRBS") else self.drawn(n).mean
        repetition = self.repetition_s(n)
        if repetition is None:
            return mean
        active = min(1.0, self.count(n) * self.cycle_s(n) / repetition)
        return active * mean + (1 - active) * self._idle(n)

    def _sockets(self, n: int) -> list[tuple[str, bool]]:
        """Return the connectors that are on, and whether each gives the complement."""
        found = [(f"{self.name}.{n}", False)] if self.get("output", n) else []
        return found + ([(f"{self.name}.{n}n", True)] if self.complement(n) else [])

    def complement(self, n: int) -> bool:
        """Whether the connector of the complement is on."""
        return False

    def _present(self, n: int) -> None:
        on = dict(self._sockets(n))
        for socket in (f"{self.name}.{n}", f"{self.name}.{n}n"):
            if socket in on:
                volts = float(self._volts(n, self._mean(n), mirrored=on[socket]))
                self.bench.terminal(socket).present(Volts(volts, series_ohm=INSIDE_OHM))
            else:
                self.bench.terminal(socket).present(Opened())

    def _present_all(self) -> None:
        for n in self.arbs:
            self._present(n)
