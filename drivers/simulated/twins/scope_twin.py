"""What all simulated oscilloscopes share: inputs, waiting for a trigger, and recording what the sockets saw.

The scope is told of nothing: whenever it is asked something it looks whether its sockets have seen another waveform
than when it was armed. The bench keeps the last waveform only, so of several between two questions the last one counts.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.terminals import Resistor, Seen
from drivers.simulated.twins.scope_signal import crossing, filtered
from drivers.simulated.twins.scpi_exchange import Operation
from drivers.simulated.twins.scpi_twin import ScpiTwin

if TYPE_CHECKING:
    from drivers.simulated.locks import FairLock
    from drivers.simulated.terminals import Bench
    from drivers.simulated.twin import TwinLink

__all__ = ["Horizontal", "Input", "ScopeTwin", "WaitsFor"]

AUTO_S = 0.05
"""Default: how long the automatic trigger mode waits before it records without a trigger."""


@dataclass(frozen=True, slots=True)
class Input:
    """What a channel is set to; `gain` is what its voltage is multiplied with, `passes_dc` False for AC coupling."""

    shown: bool
    ohm: float
    bandwidth_hz: float
    passes_dc: bool = True
    grounded: bool = False
    gain: float = 1.0


@dataclass(frozen=True, slots=True)
class WaitsFor:
    """What triggers: a channel (None: nothing that happens here), its level and edge RIS, FALL or EIT."""

    channel: int | None
    level_v: float
    edge: str
    automatic: bool


@dataclass(frozen=True, slots=True)
class Horizontal:
    """Samples per second, samples of a record, and how many of them lie before the trigger."""

    rate_hz: float
    length: int
    before: int


class ScopeTwin(ScpiTwin):
    """An oscilloscope; a model states its settings and what it makes of recorded voltages."""

    def __init__(self, name: str, bench: Bench, lock: FairLock, **identity: str) -> None:
        self.running = False
        super().__init__(name, bench, lock, **identity)
        self.numbers = range(1, self.channels + 1)
        self.noise = {n: bench.random(name, f"ch{n}") for n in self.numbers}
        self.terminals = {n: bench.terminal(f"{name}.{n}") for n in self.numbers}
        self.acquired = 0
        self.single = False
        self.start(single=False)
        self.connect_inputs()

    # ---- what a model states ------------------------------------------------------------------------------
    @abstractmethod
    def input(self, n: int) -> Input:
        """Return what a channel is set to."""

    @abstractmethod
    def waits_for(self) -> WaitsFor:
        """Return what triggers."""

    @abstractmethod
    def horizontal(self) -> Horizontal:
        """Return how records are sampled."""

    def averages(self) -> int:
        """Return how many waveforms make a record."""
        return 1

    @abstractmethod
    def keep(self, volts: dict[int, NDArray[np.float64]], horizontal: Horizontal, shots: int) -> None:
        """Keep a record: voltage of each channel that is on, the mean of `shots` waveforms."""

    # ---- running ------------------------------------------------------------------------------------------
    def connect_inputs(self) -> None:
        """Show the outside what the inputs are."""
        for n in self.numbers:
            self.terminals[n].present(Resistor(self.input(n).ohm))

    def start(self, *, single: bool) -> Operation | None:
        """Begin to acquire; returns what goes on until the one record of a single acquisition is there."""
        self.running, self.single, self.acquired = True, single, 0
        return self.rearm()

    def halt(self) -> None:
        """Stop acquiring."""
        self.running = False
        self.abort()

    def rearm(self) -> Operation | None:
        """Wait for a waveform that is not the one the sockets have seen already."""
        self.abort()
        self._stack: list[dict[int, NDArray[np.float64]]] = []
        self._seen: dict[int, Seen | None] = self._traces()
        self._armed_ns = self.bench.now_ns
        end_s = AUTO_S + 1e-9 if self.waits_for().automatic else None  # the time of the bench is in whole ns
        self._single = self.begin(end_s, self._overdue) if self.single else None
        return self._single

    def _traces(self) -> dict[int, Seen | None]:
        return {n: self.terminals[n].trace() for n in self.numbers}

    @property
    def ready(self) -> bool:
        """Whether a trigger would be taken: what comes before it is recorded already."""
        horizontal = self.horizontal()
        return self.bench.now_ns >= self._armed_ns + horizontal.before / horizontal.rate_hz * 1e9

    def frame(self, data: bytearray, *, ended: bool) -> bytes | None:
        """Take the next message; whoever waits for an answer makes the scope look at its sockets."""
        if not data and self.operations:
            self._go_on()
        return super().frame(data, ended=ended)

    def settle(self) -> None:
        """Look at the sockets, then bring operations and registers up to the time of the bench."""
        if self.running:
            self._look()
        super().settle()

    def trigger(self, link: TwinLink) -> None:
        """Force a trigger."""
        self.force()

    def force(self) -> None:
        """Trigger now."""
        if not self.running:
            raise ScpiError(-211)
        self._record(self._traces(), 0.0)

    def _overdue(self) -> None:
        """Record without a trigger where a single acquisition waited too long for one."""
        self._record(dict.fromkeys(self.numbers), 0.0)

    def _look(self) -> None:
        """See whether something was played since the scope was armed, and record it where it triggers."""
        now, wanted = self._traces(), self.waits_for()
        if any(now[n] is not self._seen[n] for n in self.numbers):
            self._seen = now
            at_s = self._trigger_s(now, wanted)
            if at_s is not None:
                self._record(now, at_s)
        elif wanted.automatic and not self.single and self.bench.now_ns > self._armed_ns + AUTO_S * 1e9:
            self._armed_ns = self.bench.now_ns
            self._record(dict.fromkeys(self.numbers), 0.0)

    def _trigger_s(self, seen: dict[int, Seen | None], wanted: WaitsFor) -> float | None:
        trace = seen[wanted.channel] if wanted.channel is not None else None
        if trace is None or wanted.channel is None:
            return None
        times_s, volts = self._signal(self.input(wanted.channel), trace)
        return crossing(times_s, volts, wanted.level_v, wanted.edge)

    def _signal(self, chosen: Input, trace: Seen) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what a channel has behind coupling and bandwidth."""
        times_s, volts = filtered(trace, chosen.bandwidth_hz)
        if chosen.grounded:
            return times_s, 0.0 * volts
        # A coupling capacitor has charged to what was there before, and keeps it for the short time of a pulse.
        return times_s, chosen.gain * (volts if chosen.passes_dc else volts - volts[0])

    def _record(self, seen: dict[int, Seen | None], trigger_s: float) -> None:
        """Record all channels that are on; of several waveforms that are averaged with the last one only."""
        horizontal = self.horizontal()
        times_s = trigger_s + (np.arange(horizontal.length) - horizontal.before) / horizontal.rate_hz
        volts: dict[int, NDArray[np.float64]] = {}
        for n in self.numbers:
            chosen, trace = self.input(n), seen[n]
            if not chosen.shown:
                continue
            if trace is None:
                is_dc = chosen.passes_dc and not chosen.grounded
                level_v = chosen.gain * self.terminals[n].look().voltage_v if is_dc else 0.0
                volts[n] = np.full(horizontal.length, level_v)
            else:
                volts[n] = np.interp(times_s, *self._signal(chosen, trace))
        self._stack.append(volts)
        self.acquired += 1
        if len(self._stack) < self.averages():
            if self.single and self._single not in self.operations:
                self._single = (
                    self.begin(AUTO_S, self._overdue) if self.waits_for().automatic else self.begin()
                )
            return
        stack, self._stack = self._stack, []
        means = {n: np.mean([each[n] for each in stack if n in each], axis=0) for n in volts}
        self.keep(means, horizontal, len(stack))
        if self.single:
            self.running = False
            done, self._single = self._single, None
            if done is not None and done in self.operations:
                done.then = None
                self.end(done)


def stated(name: str, model: str, options: dict[str, Any]) -> None:
    """Refuse options, of which scopes have none."""
    if options:
        raise ValueError(f"{name}: {model} has no options, not {', '.join(options)}")
