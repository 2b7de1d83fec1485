"""The pulse-measure unit of a simulated 4200A, as KXCI commands it: ``:PMU:...``.

Settings are taken as they come and looked at by ``:PMU:EXECUTE`` (-96x), which plays everything at once: the bench is
later by the time of the burst when the next message is read, and the card is busy a while longer. Without
``:PMU:RETAIN:CONFIG`` a second ``:PMU:EXECUTE`` needs ``:PMU:INIT`` and the set-up again (instruments §2.6).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from drivers.simulated.terminals import Opened, Volts
from drivers.simulated.twins import keithley_4200_changes as change
from drivers.simulated.twins.keithley_4200_execute import Executed, execute
from drivers.simulated.twins.keithley_4200_pulses import LLEC_OHM, OUTPUT_OHM, PulseChannel, drive
from drivers.simulated.twins.keithley_4200_samples import Sampler
from drivers.simulated.twins.keithley_4200_segments import FIELDS, Segments
from drivers.simulated.twins.kxci import Command, number, numbers, whole
from drivers.simulated.twins.kxci_errors import KxciError

if TYPE_CHECKING:
    from drivers.simulated.terminals import Bench

__all__ = ["Pmu"]

CHANNELS = (1, 2)
PAGE_MAX = 2048
_SPOT = ("VH", "IH", "TH", "SH", "VL", "IL", "TL", "SL")
_WAVEFORM = ("V", "I", "T", "S")


class Pmu:
    """A card with two channels, each with its remote pulse module or without.

    Attributes
    ----------
    rpm_path : dict of int to int
        Where the modules connect the outputs to: 0 the card, 1 CV 2-wire, 2 SMU, 3 CV 4-wire. Default after
        power-on: 2.
    """

    def __init__(self, name: str, bench: Bench, *, rpm: bool) -> None:
        self.rpm = rpm
        self.bench = bench
        self.names = {each: f"{name}.pmu1_{each}" for each in CHANNELS}
        self.samplers = {each: Sampler(bench.random(name, f"pmu1_{each}")) for each in CHANNELS}
        self.rpm_path = dict.fromkeys(CHANNELS, 2 if rpm else 0)
        self.executed: Callable[[], None] = lambda: None
        channel = self._per_channel
        self.commands: dict[str, Callable[[Command], str | None]] = {
            ":PMU:INIT": self._init,
            ":PMU:RPM:CONFIGURE": self._rpm,
            ":PMU:MEASURE:MODE": self._mode,
            ":PMU:SAMPLE:RATE": self._rate,
            ":PMU:PULSE:BURST:COUNT": self._count,
            ":PMU:PULSE:TIMES": self._times,
            ":PMU:SOURCE:RANGE": channel(change.source_range, 1),
            ":PMU:MEASURE:RANGE": channel(change.measure_range, 1, 2),
            ":PMU:MEASURE:PIV": channel(change.acquire, 2),
            ":PMU:TIMES:PIV": channel(change.spot, 2),
            ":PMU:TIMES:WAVEFORM": channel(change.margins, 2),
            ":PMU:LOAD": channel(change.load, 1),
            ":PMU:LLEC:CONFIGURE": channel(change.llec, 1),
            ":PMU:RETAIN:CONFIG": channel(change.retain, 1),
            ":PMU:CONNECTION:COMP": channel(change.connection, 2),
            ":PMU:PULSE:TRAIN": channel(change.train, 2),
            ":PMU:SWEEP:PULSE:AMPLITUDE": channel(change.sweep, 4, 5),
            ":PMU:STEP:PULSE:AMPLITUDE": channel(change.step, 4),
            ":PMU:OUTPUT:STATE": self._output,
            ":PMU:EXECUTE": self._execute,
            ":PMU:ABORT": self._abort,
            ":PMU:DATA:COUNT?": self._data_count,
            ":PMU:DATA:GET": self._data_get,
            ":PMU:SARB:WFM:SEQ:LIST": self._list,
        }
        for each in FIELDS:
            self.commands[f":PMU:SARB:SEQ:{each}"] = self._segments(each, add=False)
            self.commands[f":PMU:SARB:SEQ:{each}:ADD"] = self._segments(each, add=True)
        self.initialised = False
        self.initialise(arb=False)
        self.initialised = False

    def initialise(self, *, arb: bool) -> None:
        """Bring both channels to their defaults, forget data and sequences, switch the outputs off."""
        self.arb = arb
        self.period_s, self.mode, self.rate_hz, self.count = 1e-6, 1, 200e6, 1
        self.channels = {each: PulseChannel() for each in CHANNELS}
        self.segments = {each: Segments() for each in CHANNELS}
        self.results: dict[int, Executed] = {}
        self.initialised = True
        for each in CHANNELS:
            self._present(each)

    def _present(self, number: int) -> None:
        """Show the outside what the output is at rest."""
        channel = self.channels[number]
        terminal = self.bench.terminal(self.names[number])
        if not channel.output or self.rpm_path[number] != 0:
            terminal.present(Opened())
            return
        try:
            (level,) = (0.0,) if self.arb else drive(channel, channel.base_v)
        except KxciError:  # it is looked at when it is executed
            level = 0.0
        terminal.present(Volts(level, LLEC_OHM if channel.llec else OUTPUT_OHM))

    # ---- settings -----------------------------------------------------------------------------------------
    def channel(self, text: str) -> int:
        """Return the number of a channel (-969 for one there is not)."""
        return whole(text, low=1, high=2, code=-969)

    def _per_channel(
        self, put: Callable[[PulseChannel, list[float]], None], least: int, most: int | None = None
    ) -> Callable[[Command], None]:
        def command(command: Command) -> None:
            self._begun()
            if not command.arguments:
                raise KxciError(-993)
            number = self.channel(command.arguments[0])
            put(self.channels[number], numbers(command.arguments[1:], least=least, most=most))
            self._present(number)

        return command

    def _begun(self) -> None:
        if not self.initialised:
            raise KxciError(-967)

    def _init(self, command: Command) -> None:
        self.initialise(arb=bool(whole(_only(command), low=0, high=1, code=-969)))

    def _rpm(self, command: Command) -> None:
        if len(command.arguments) != 2:
            raise KxciError(-993)
        if not self.rpm:
            raise KxciError(-988)
        name, text = command.arguments
        if name.upper() not in ("PMU1-1", "PMU1-2"):
            raise KxciError(-969)
        number = int(name[-1])
        self.rpm_path[number] = whole(text, low=0, high=3, code=-969)
        self._present(number)

    def _mode(self, command: Command) -> None:
        self._begun()
        self.mode = whole(_only(command), low=0, high=4, code=-969)

    def _rate(self, command: Command) -> None:
        self._begun()
        self.rate_hz = number(_only(command))
        if not 1e3 <= self.rate_hz <= 200e6:
            raise KxciError(-969)

    def _count(self, command: Command) -> None:
        self._begun()
        self.count = whole(_only(command), low=1, high=10_000, code=-969)

    def _times(self, command: Command) -> None:
        self._begun()
        if not command.arguments:
            raise KxciError(-993)
        channel = self.channels[self.channel(command.arguments[0])]
        self.period_s, channel.width_s, channel.rise_s, channel.fall_s, *delay = numbers(
            command.arguments[1:], least=4, most=5
        )
        channel.delay_s = delay[0] if delay else 0.0

    def _output(self, command: Command) -> None:
        if len(command.arguments) != 2:
            raise KxciError(-993)
        number = self.channel(command.arguments[0])
        self.channels[number].output = bool(whole(command.arguments[1], low=0, high=1, code=-969))
        self._present(number)

    # ---- segment arb --------------------------------------------------------------------------------------
    def _segments(self, name: str, *, add: bool) -> Callable[[Command], None]:
        def command(command: Command) -> None:
            self._begun()
            if not self.arb:
                raise KxciError(-965)
            if len(command.arguments) < 3:
                raise KxciError(-993)
            number = self.channel(command.arguments[0])
            sequence, *values = numbers(command.arguments[1:], least=2, most=10_000)
            self.segments[number].sequence(sequence).put(name, values, add=add)

        return command

    def _list(self, command: Command) -> None:
        self._begun()
        if not self.arb:
            raise KxciError(-965)
        if len(command.arguments) < 3:
            raise KxciError(-993)
        number = self.channel(command.arguments[0])
        self.segments[number].play(numbers(command.arguments[1:], least=2, most=10_000))

    # ---- running ------------------------------------------------------------------------------------------
    def _execute(self, command: Command) -> None:
        self._begun()
        self.results = {}
        self.results = execute(self)
        if not any(each.retain for each in self.channels.values() if each.output):
            self.initialised = False
        for each in CHANNELS:
            self._present(each)
        self.executed()
        if any(each.too_hot for each in self.results.values()):
            raise KxciError(-968)

    def _abort(self, command: Command) -> None:
        """Nothing more to do: a burst is over before the next message is read."""

    # ---- data ---------------------------------------------------------------------------------------------
    def _data_count(self, command: Command) -> str:
        found = self.results.get(self.channel(_only(command)))
        return str(0 if found is None else found.points)

    def _data_get(self, command: Command) -> str:
        if not command.arguments:
            raise KxciError(-993)
        found = self.results.get(self.channel(command.arguments[0]))
        start, count = 0, PAGE_MAX
        if len(command.arguments) > 1:
            start = whole(command.arguments[1], low=0, high=10**6, code=-969)
        if len(command.arguments) > 2:
            count = whole(command.arguments[2], low=1, high=PAGE_MAX, code=-969)
        if found is None or start >= found.points:
            return ""
        wanted = [each.upper() for each in command.arguments[3:]]
        if not set(wanted) <= set(_SPOT) | set(_WAVEFORM):
            raise KxciError(-969)
        names = [
            each for each in (*_WAVEFORM, *_SPOT) if each in found.columns and (not wanted or each in wanted)
        ]
        if not names:
            raise KxciError(-969)
        columns = [_spelled(name, found.columns[name][start : start + count]) for name in names]
        return ";".join(map(",".join, zip(*columns, strict=True)))


def _spelled(name: str, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[str]:
    """Write a column: six decimals, status words as integers (defaults)."""
    if name.startswith("S"):
        return [str(int(each)) for each in values]
    return [f"{each:.6E}" for each in values.tolist()]


def _only(command: Command) -> str:
    if len(command.arguments) != 1:
        raise KxciError(-993)
    return command.arguments[0]
