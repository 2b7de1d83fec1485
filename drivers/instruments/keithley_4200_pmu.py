"""The 4225-PMU of a 4200A: pulses on one or both channels, and the waveforms measured meanwhile.

``:PMU:INIT`` makes the card forget both channels, so the driver keeps what each is set to and sends it again whenever
something but the amplitude and the number of pulses has changed. Base level is 0 V. A burst costs the same few
messages whatever it holds, and what was measured comes back in pages of 2048 points (instruments §2.6).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.errors import DriverError, MalformedAnswer, SettingOutOfRange
from drivers.roles import PulseShape

if TYPE_CHECKING:
    from drivers.instruments.keithley_4200 import Keithley4200

__all__ = ["Capture", "PmuSettings", "PulseCard", "SegmentLine", "outside"]

PAGE = 2048
COUNT_MAX = 10_000
DISCRETE_MAX = 64
"""Pulses of a burst up to which each one's waveform is kept; of longer bursts the mean waveform is."""
_SENTINEL = 1e10
_VALUES_MAX = 128


@dataclass(frozen=True, slots=True, eq=False)
class Capture:
    """What a channel measured, arrays of shape (n,); NaN where a sample is none.

    Attributes
    ----------
    t_s, voltage_v, current_a : ndarray of float64
        Seconds from the start of the burst, volt, ampere.
    limited : ndarray of bool
        The current range or the source limited this sample: its current is NaN.
    status : ndarray of int64
        Status words of the instrument.
    """

    t_s: NDArray[np.float64]
    voltage_v: NDArray[np.float64]
    current_a: NDArray[np.float64]
    limited: NDArray[np.bool_]
    status: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PmuSettings:
    """What a channel is set to beside its pulses.

    Attributes
    ----------
    source_range_v : int
        10 or 40.
    range_a : float
        Fixed current range; it limits the current too. With a remote module and 10 V: 100 nA .. 10 mA, 200 mA.
    load_ohm : float
        What the instrument takes the device for when it sets the level behind its 50 Ohm; 1e6: the open circuit.
    compensate : bool
        Load-line effect compensation: the voltage at the device is what was asked for. The instrument finds the
        level with pulses it gives before; do not use it on cells that must not see them.
    """

    source_range_v: int = 10
    range_a: float = 1e-2
    load_ohm: float = 1e6
    compensate: bool = False


@dataclass(frozen=True, slots=True)
class SegmentLine:
    """A waveform of straight lines: the first level, then (seconds, level) of each line, measured or not."""

    start_v: float
    lines: Sequence[tuple[float, float]]
    measured: bool = True


class PulseCard:
    """What both channels of the card share.

    Parameters
    ----------
    instrument : Keithley4200
    rpm : bool
        The card has its remote modules.

    Attributes
    ----------
    sample_rate_hz : float
        1e3 .. 200e6; the instrument lowers it where points would not fit.
    measure : bool
        Waveforms are measured while pulses are given.
    """

    def __init__(self, instrument: Keithley4200, *, rpm: bool) -> None:
        self.instrument, self.rpm = instrument, rpm
        self.sample_rate_hz = 200e6
        self.measure = True
        self.settings_of = {1: PmuSettings(), 2: PmuSettings()}
        self.shapes: dict[int, PulseShape] = {}
        self._sent: object = None

    def settings(self) -> dict[str, Any]:
        """Return what both channels are set to."""
        found: dict[str, Any] = {"pmu.sample_rate_hz": self.sample_rate_hz, "pmu.measure": self.measure}
        for number, settings in self.settings_of.items():
            found |= {f"pmu1_{number}.{name}": value for name, value in asdict(settings).items()}
            if number in self.shapes:
                shape = self.shapes[number]
                found |= {f"pmu1_{number}.{name}": value for name, value in asdict(shape).items()}
        return found

    def forget(self) -> None:
        """Prepare anew before the next burst: the card was reset by somebody else."""
        self._sent = None

    def tell(self, command: str) -> None:
        """Send a command in the system mode."""
        with self.instrument.in_system_mode():
            self.instrument.tell(command)

    def ask(self, query: str) -> str:
        """Ask something in the system mode."""
        with self.instrument.in_system_mode():
            return self.instrument.ask(query)

    # ---- pulses -------------------------------------------------------------------------------------------
    def fire(self, amplitudes_v: Mapping[int, float], count: int = 1) -> None:
        """Give `count` pulses on one or both channels at once; returns when they are over.

        Parameters
        ----------
        amplitudes_v : mapping of int to float
            Channel -> volt; a channel not named has its output off.
        count : int
            1 .. 10000.

        Raises
        ------
        SettingOutOfRange
            A channel was not prepared, both have different periods, or a number is out of range; nothing was sent.
        SourceVoltageReached, PulserTooHot, InstrumentError
            The instrument refused it, or stopped.
        """
        if not 1 <= count <= COUNT_MAX:
            raise outside("count", count, 1, COUNT_MAX)
        missing = sorted(amplitudes_v.keys() - self.shapes.keys())
        if missing or not amplitudes_v:
            raise SettingOutOfRange(
                f"channels {missing} have no pulse prepared; call prepare() first; nothing was sent"
            )
        for number, level_v in amplitudes_v.items():
            most = float(self.settings_of[number].source_range_v)
            if not abs(level_v) <= most:
                raise outside("open_v", level_v, -most, most)
        periods = {self.shapes[number].period_s for number in amplitudes_v}
        if len(periods) > 1:
            raise SettingOutOfRange(
                "both channels of the card have one period; prepare them with the same; nothing was sent",
                setting="period_s",
            )
        with self.instrument.alone(), self._cleared_up():
            with self.instrument.together():
                self._set_up(frozenset(amplitudes_v))
                mode = 0 if not self.measure else 2 if count <= DISCRETE_MAX else 4
                self.tell(f":PMU:MEASURE:MODE {mode}")
                self.tell(f":PMU:PULSE:BURST:COUNT {count}")
                for number, level_v in amplitudes_v.items():
                    self.tell(f":PMU:PULSE:TRAIN {number},0,{level_v:.8g}")
                self._switch(frozenset(amplitudes_v))
            self._execute(count * periods.pop())

    @contextmanager
    def _cleared_up(self) -> Iterator[None]:
        """Open the outputs in the end, whatever happens; a card that refused is set up anew next time.

        An output that stays on loads whatever else is wired to the device with its 50 Ohm.
        """
        try:
            yield
            with self.instrument.together():
                self._switch(frozenset())
        except BaseException:
            self._sent = None
            with suppress(DriverError):  # what went wrong first is what is told
                self._switch(frozenset())
            raise

    def _set_up(self, channels: frozenset[int]) -> None:
        """Initialise the card and send everything but amplitude and count, where it is not as it was."""
        wanted = (channels, dict(self.shapes), dict(self.settings_of), self.sample_rate_hz)
        if self._sent == wanted:
            return
        self._sent = None
        self._initialise(channels, arb=False)
        # Timing of both channels is sent, the ones that pulse last: the period sent last is that of the card.
        for number in sorted(channels):
            shape = self.shapes[number]
            width_s = shape.top_s + (shape.rise_s + shape.fall_s) / 2
            times = (shape.period_s, width_s, shape.rise_s, shape.fall_s)
            self.tell(f":PMU:PULSE:TIMES {number},{','.join(f'{each:.9g}' for each in times)}")
        self._sent = wanted

    def _initialise(self, channels: frozenset[int], *, arb: bool) -> None:
        self.tell(f":PMU:INIT {int(arb)}")
        for number in sorted(channels):
            settings = self.settings_of[number]
            if self.rpm:
                self.tell(f":PMU:RPM:CONFIGURE PMU1-{number}, 0")
            self.tell(f":PMU:SOURCE:RANGE {number},{settings.source_range_v}")
            self.tell(f":PMU:MEASURE:RANGE {number},2,{settings.range_a:.6g}")
            self.tell(f":PMU:LOAD {number},{settings.load_ohm:.8g}")
            self.tell(f":PMU:LLEC:CONFIGURE {number},{int(settings.compensate)}")
            self.tell(f":PMU:RETAIN:CONFIG {number},1")
        self.tell(f":PMU:SAMPLE:RATE {self.sample_rate_hz:.9g}")

    def _switch(self, channels: frozenset[int]) -> None:
        """Switch on exactly these channels."""
        for number in (1, 2):
            self.tell(f":PMU:OUTPUT:STATE {number},{int(number in channels)}")

    def _execute(self, expected_s: float) -> None:
        """Run what was set up and wait until it is over."""
        try:
            self.tell(":PMU:EXECUTE")
        finally:  # what is refused may run all the same, to its thermal limit
            self.instrument.wait(":PMU:TEST:STATUS?", expected_s=expected_s)

    # ---- segment arb --------------------------------------------------------------------------------------
    def run_segments(self, waves: Mapping[int, SegmentLine], loops: int = 1) -> None:
        """Run waveforms of straight lines on one or both channels at once; returns when they are over.

        Parameters
        ----------
        waves : mapping of int to SegmentLine
            Channel -> waveform of at least three lines, each of a multiple of 10 ns from 20 ns to 1 s.
        loops : int
            How often; the waveform must end where it begins for more than one.

        Raises
        ------
        SettingOutOfRange, InstrumentError
        """
        if any(len(wave.lines) < 3 for wave in waves.values()) or not waves:
            raise SettingOutOfRange("a waveform needs three lines or more; nothing was sent", setting="lines")
        if loops < 1:
            raise outside("loops", loops, 1, 1e12)
        self._sent = None
        channels = frozenset(waves)
        with self.instrument.alone(), self._cleared_up():
            with self.instrument.together():
                self._initialise(channels, arb=True)
                for number, wave in waves.items():
                    self._segments(number, wave)
                    self.tell(f":PMU:SARB:WFM:SEQ:LIST {number},1,{int(loops)}")
                self._switch(channels)
            self._execute(loops * max(sum(line[0] for line in wave.lines) for wave in waves.values()))

    def _segments(self, number: int, wave: SegmentLine) -> None:
        stops = [level for _, level in wave.lines]
        times = [time_s for time_s, _ in wave.lines]
        fields: dict[str, Sequence[float]] = {
            "STARTV": [wave.start_v, *stops[:-1]],
            "STOPV": stops,
            "TIME": times,
            "TRIG": [1] + [0] * (len(times) - 1),
            "SSR": [1] * len(times),
            "MEAS:TYPE": [2 if wave.measured else 0] * len(times),
            "MEAS:START": [0] * len(times),
            "MEAS:STOP": times,
        }
        for name, values in fields.items():
            for at in range(0, len(values), _VALUES_MAX):
                header = f":PMU:SARB:SEQ:{name}{':ADD' if at else ''}"
                part = ",".join(f"{value:.9g}" for value in values[at : at + _VALUES_MAX])
                self.tell(f"{header} {number},1,{part}")

    # ---- data ---------------------------------------------------------------------------------------------
    def fetch(self, number: int) -> Capture:
        """Fetch what a channel measured in the last burst, in pages.

        Raises
        ------
        MalformedAnswer
            A page has another length or form than was asked for.
        """
        with self.instrument.alone():
            reply = self.ask(f":PMU:DATA:COUNT? {number}").strip()
            if not reply.isdigit():
                raise MalformedAnswer(f"{self.instrument!r} counts {reply[:40]!r} points")
            count = int(reply)
            pages = [self._page(number, at, min(PAGE, count - at)) for at in range(0, count, PAGE)]
        rows = np.concatenate(pages) if pages else np.empty((0, 4))
        volts, amperes, times_s, status = rows.T
        bad = np.abs(amperes) > _SENTINEL
        return Capture(
            times_s.copy(),
            np.where(np.abs(volts) > _SENTINEL, np.nan, volts),
            np.where(bad, np.nan, amperes),
            bad,
            status.astype(np.int64),
        )

    def _page(self, number: int, start: int, count: int) -> NDArray[np.float64]:
        reply = self.ask(f":PMU:DATA:GET {number},{start},{count},V,I,T,S")
        try:
            rows = np.array([[float(each) for each in row.split(",")] for row in reply.strip(";").split(";")])
        except ValueError as error:
            raise MalformedAnswer(f"{self.instrument!r} answered {reply[:60]!r}: no points") from error
        if rows.shape != (count, 4):
            raise MalformedAnswer(
                f"{self.instrument!r} answered points of shape {rows.shape} where ({count}, 4) was asked for"
            )
        return rows


def outside(setting: str, value: float, low: float, high: float) -> SettingOutOfRange:
    """Return what to raise for a setting of the card that is out of range."""
    return SettingOutOfRange(
        f"{setting} = {value:g} is outside {low:g} .. {high:g} of the pulse card; nothing was sent",
        setting=setting,
        value=value,
        low=low,
        high=high,
    )
