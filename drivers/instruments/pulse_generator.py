"""What the drivers of pulse and function generators share: a channel that gives trapezoids on a baseline of 0 V.

The level a generator is told is what its *configured* load would see of the pulse; all drivers here speak of the open
output instead and convert by the setting they find. Positive pulses rise from the low level, which stays at 0 V;
negative ones fall from the high level with the output inverted: the level between pulses is 0 V both times, and no
command between two bursts moves it.
"""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from drivers.chip import Identity
from drivers.errors import DriverError, LoadMismatch, SettingOutOfRange
from drivers.message_link import MessageLink
from drivers.properties import Part
from drivers.roles import PulseLimits, PulseShape
from drivers.scpi_instrument import ScpiInstrument

__all__ = ["EDGE", "PulseChannel", "PulseGenerator"]

EDGE = 0.8
"""An edge from 10 to 90 %, as these instruments count it, over the same edge from 0 to 100 %."""

INSIDE_OHM = 50.0
_RULE = 0.8  # of each edge, 10 to 90 %: period >= width + 1.6 x edge for two that are alike
_LOAD_TOLERANCE = 0.01  # a default: a load is set as closely as anybody knows it
_INFINITE = 9.9e37


class PulseChannel(Part):
    """One channel; the names of its properties are the same for all models.

    Attributes
    ----------
    limits : PulseLimits
        Of this model.
    amplitude_min_v : float
        Smallest amplitude into 50 Ohm, volt.
    width_min_s : float
        Shortest width at half height, seconds.
    """

    dac_max: ClassVar[int]

    def __init__(
        self,
        generator: PulseGenerator,
        number: int,
        limits: PulseLimits,
        *,
        amplitude_min_v: float,
        width_min_s: float,
    ) -> None:
        self.generator, self.number = generator, number
        self.limits, self.amplitude_min_v, self.width_min_s = limits, amplitude_min_v, width_min_s
        self.names = {"n": str(number)}
        self._wanted: PulseShape | tuple[NDArray[np.float64], float] | None = None
        self._ready = False
        self._inverted = False
        self._factor = 0.5
        self._cycle_s = self._last_s = 0.0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.number} of {self.generator!r}>"

    def ask(self, query: str) -> str:
        """Ask the instrument something; returns its reply."""
        return self.generator.ask(query)

    def tell(self, command: str) -> None:
        """Send a command, then look at the instrument's errors; what was prepared is set up anew before it is fired.

        Raises
        ------
        InstrumentError
            The instrument refused it.
        """
        self._ready = False
        self.generator.tell(command)

    # ---- what a model states ------------------------------------------------------------------------------
    def _before(self) -> list[str]:
        """Return the commands that end what might conflict with another shape."""
        return []

    @abstractmethod
    def _waiting(self) -> list[str]:
        """Return the commands that make it wait for a trigger of its own."""

    @abstractmethod
    def _burst(self, count: int) -> list[str]:
        """Return the commands that set the cycles of a burst."""

    @abstractmethod
    def _edges(self, lead_s: float, trail_s: float) -> list[str]:
        """Return the commands that set both edges, 10 to 90 %, seconds."""

    @abstractmethod
    def _put_waveform(self, points: NDArray[np.int16], duration_s: float) -> list[str]:
        """Upload points; return the commands that select them, played in `duration_s`."""

    # ---- pulses -------------------------------------------------------------------------------------------
    def pulse_limits(self) -> PulseLimits:
        """Give what the channel can do; voltages of the open output."""
        return self.limits

    def prepare(self, shape: PulseShape) -> None:
        """Set up a trapezoid; the output is switched off, its level between pulses is 0 V.

        Parameters
        ----------
        shape : PulseShape
            Seconds; edges from 0 to 100 %.

        Raises
        ------
        SettingOutOfRange
            The channel cannot do this shape; nothing was sent.
        InstrumentError
            The instrument refused it, or adjusted it.
        """
        for name, value in (
            ("rise_s", shape.rise_s),
            ("top_s", shape.top_s),
            ("fall_s", shape.fall_s),
            ("period_s", shape.period_s),
        ):
            self._within(name, value, *getattr(self.limits, name))
        lead, trail = EDGE * shape.rise_s, EDGE * shape.fall_s
        width = shape.top_s + (shape.rise_s + shape.fall_s) / 2
        self._within("width_s", width, self.width_min_s, self.limits.top_s[1])
        self._within("period_s", shape.period_s, width + _RULE * (lead + trail), self.limits.period_s[1])
        shortest = EDGE * self.limits.rise_s[0]
        # A long period first, then the shortest edges and width: no step on the way conflicts with what was before.
        self._set_up(
            [
                *self._before(),
                self._set("period_s", max(shape.period_s, 1.0)),
                *self._edges(shortest, shortest),
                self._set("width_s", self.width_min_s),
                self._set("shape", "PULS"),
                self._set("hold", "WIDT"),
                self._set("period_s", shape.period_s),
                self._set("width_s", width),
                *self._edges(lead, trail),
            ]
        )
        self._wanted, self._ready = shape, True
        self._cycle_s, self._last_s = shape.period_s, shape.rise_s + shape.top_s + shape.fall_s

    def prepare_waveform(self, points: NDArray[np.float64], duration_s: float) -> None:
        """Set up a waveform of any shape, which :meth:`fire` plays; the output is switched off.

        Parameters
        ----------
        points : ndarray
            Fractions of the voltage that is fired, 0 to 1; the first is 0, which is where it stays in between.
        duration_s : float
            Seconds of all points.

        Raises
        ------
        SettingOutOfRange
            No such waveform; nothing was sent.
        InstrumentError
            The instrument refused it.
        """
        values = np.asarray(points, dtype=np.float64)
        if values.ndim != 1 or len(values) < 2 or values[0] != 0 or not ((values >= 0) & (values <= 1)).all():
            raise SettingOutOfRange(
                f"a waveform of {self!r} is two points or more from 0 to 1 that begin with 0; nothing was sent",
                setting="points",
            )
        self._within("duration_s", duration_s, *self.limits.period_s)
        chosen = self._put_waveform(np.round((2 * values - 1) * self.dac_max).astype(np.int16), duration_s)
        self._set_up([*self._before(), *chosen])
        self._wanted, self._ready = (values, duration_s), True
        self._cycle_s = self._last_s = duration_s

    def fire(self, open_v: float, count: int = 1) -> None:
        """Give pulses with the prepared shape; returns when they are over, with the output on and at 0 V.

        Parameters
        ----------
        open_v : float
            Plateau into an open circuit, volt; below zero for negative pulses.
        count : int

        Raises
        ------
        DriverError
            Nothing is prepared.
        SettingOutOfRange
            Another voltage or count than the channel can give; nothing was sent.
        InstrumentError
            The instrument refused level or count, and nothing was fired; or it reports errors of the burst itself.
        """
        low, high = self.limits.open_v
        self._within("open_v", open_v, low, high)
        self._within("open_v", abs(open_v), 2 * self.amplitude_min_v, max(-low, high))
        self._within("count", count, 1, self.limits.count_max)
        self._made_ready()
        inverted = open_v < 0
        commands = self._at_zero(inverted=inverted) if inverted != self._inverted else []
        level = open_v * self._factor
        commands += [
            self._set("low_v" if inverted else "high_v", level),
            *self._burst(count),
        ]
        start = [self._set("output", "ON"), f":TRIG{self.number}", "*OPC?"]
        duration = (count - 1) * self._cycle_s + self._last_s
        self._ready = False  # should anything go wrong, the next burst sets up everything anew
        # A level that is refused leaves the earlier one: the burst is not started before that is known.
        self.generator.tell(";".join(commands))
        began = time.monotonic()
        self.generator.ask_checked(";".join(start), timeout_s=self.generator.link.timeout_s + 2 * duration)
        self._ready, self._inverted = True, inverted
        if not self.generator.identify().simulated:
            # That *OPC? waits for the end of a burst is not said of every model.
            self.generator.sleep(max(0.0, duration - (time.monotonic() - began)))

    def zero(self) -> None:
        """Switch the output off and bring its levels to 0 V; what was prepared stays prepared.

        Raises
        ------
        InstrumentError
            The instrument refused it.
        """
        if not self._ready:
            self._look_at_load()
        self.generator.tell(";".join(self._at_zero(inverted=self._inverted)))

    def check_load(self, wired_ohm: float) -> None:
        """Look whether the load that is set is the one that is wired.

        Parameters
        ----------
        wired_ohm : float
            What the wiring shows, ohm; infinite for an open end.

        Raises
        ------
        LoadMismatch
            It is another one: levels that are told to the instrument would not be what the load sees.
        """
        found = float(getattr(self, "load_ohm"))  # noqa: B009 - declared by the models
        set_ohm = math.inf if found >= _INFINITE else found
        if set_ohm != wired_ohm and not abs(set_ohm - wired_ohm) <= _LOAD_TOLERANCE * wired_ohm < math.inf:
            raise LoadMismatch(
                f"{self!r} is set for a load of {set_ohm:g} Ohm, the wiring shows {wired_ohm:g} Ohm: set load_ohm to "
                "it, or correct the wiring",
                set_ohm=set_ohm,
                wired_ohm=wired_ohm,
            )

    # ---- inside -------------------------------------------------------------------------------------------
    def _set(self, name: str, value: float | str) -> str:
        """Return the command that sets a property."""
        command = type(self).controls()[name].command or ""
        return command.format(value if isinstance(value, str) else f"{value:.10g}", **self.names)

    def _at_zero(self, *, inverted: bool) -> list[str]:
        """Return the commands that open the output and put its idle level to 0 V."""
        least = 2 * self.amplitude_min_v * self._factor
        return [
            self._set("output", "OFF"),
            self._set("unit", "VPP"),
            self._set("amplitude_v", least),
            self._set("offset_v", -least / 2 if inverted else least / 2),
            self._set("polarity", "INV" if inverted else "NORM"),
        ]

    def _set_up(self, commands: list[str]) -> None:
        self._look_at_load()
        self.generator.tell(
            ";".join(
                [self._set("output", "OFF"), *commands, *self._at_zero(inverted=False), *self._waiting()]
            )
        )
        self._inverted = False

    def _look_at_load(self) -> None:
        """Take over the configured load, which levels are told for."""
        load = float(getattr(self, "load_ohm"))  # noqa: B009 - declared by the models
        self._factor = 1.0 if load >= _INFINITE else load / (load + INSIDE_OHM)

    def _made_ready(self) -> None:
        if self._wanted is None:
            raise DriverError(f"{self!r} has nothing prepared: call prepare() before fire()")
        if not self._ready:
            if isinstance(self._wanted, PulseShape):
                self.prepare(self._wanted)
            else:
                self.prepare_waveform(*self._wanted)

    def _within(self, name: str, value: float, low: float, high: float) -> None:
        slack = 0.0 if isinstance(value, int) else 1e-9 * abs(value)
        if not low - slack <= value <= high + slack:
            raise SettingOutOfRange(
                f"{name} = {value:g} is outside {low:g} .. {high:g} of {self!r}; nothing was sent",
                setting=name,
                value=value,
                low=low,
                high=high,
            )


class PulseGenerator(ScpiInstrument):
    """A generator; its channels are its parts, "1" and "2".

    Parameters
    ----------
    link : MessageLink
    identity : Identity, optional
        Who answers, where that is known already.
    sleep : callable
        Waits for so many seconds, at a real instrument.
    """

    channels: dict[str, PulseChannel]

    def __init__(
        self,
        link: MessageLink,
        *,
        identity: Identity | None = None,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        super().__init__(link, identity=identity)
        self.sleep = sleep

    def parts(self) -> Mapping[str, Part]:
        """Give the channels by name."""
        return self.channels

    def trigger(self) -> None:
        """Start every channel that waits for a trigger of the bus.

        Raises
        ------
        InstrumentError
            None does (-211).
        """
        self.tell("*TRG")

    def reset(self) -> None:
        """Bring all settings to the instrument's defaults; outputs are off then.

        Raises
        ------
        InstrumentError
            The instrument refused it.
        """
        for channel in self.channels.values():
            channel._ready = False
        self.tell("*RST")

    def make_safe(self) -> None:
        """Switch all outputs off, then bring the levels to 0 V; may raise."""
        off: list[str] = []
        for channel in self.channels.values():
            off += self._off(channel)
        self.tell(";".join(off))
        for channel in self.channels.values():
            channel.zero()

    def _off(self, channel: PulseChannel) -> list[str]:
        return [channel._set("output", "OFF")]
