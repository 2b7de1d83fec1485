"""The waveform generator of a B1500A (B1530A, WGFMU): patterns as Python objects, played and measured in one call.

An adapter of its own beside :class:`~drivers.instruments.keysight_b1500.KeysightB1500`: the module is reached through
the vendor's library only, which holds the GPIB session while it is open. Limits are those of instruments §2.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from drivers.chip import BoardError
from drivers.errors import InstrumentError, SettingOutOfRange
from drivers.instruments import keysight_wgfmu_library as lib
from drivers.instruments.keysight_wgfmu_library import VendorLibrary, WgfmuLibrary
from drivers.roles import PulseShape

__all__ = ["MeasureEvent", "Pattern", "RangeEvent", "Recorded", "Wgfmu"]

GRID_S = 10e-9
_STEP_S = (10e-9, 10_995.1)
_INTERVAL_S = (10e-9, 1.342)
_AVERAGE_S = (10e-9, 20e-3)
_DELAY_S = (-50e-9, 50e-9)
_COUNT = 10**12
_TIMEOUT_S = 100.0

_MODES = {"dc": lib.MODE_DC, "fast-iv": lib.MODE_FAST_IV, "pg": lib.MODE_PG, "smu": lib.MODE_SMU}
_FORCES = {
    "auto": (lib.FORCE_AUTO, -10.0, 10.0),
    "3V": (lib.FORCE_3V, -3.0, 3.0),
    "5V": (lib.FORCE_5V, -5.0, 5.0),
    "-10V": (lib.FORCE_NEGATIVE_10V, -10.0, 0.0),
    "+10V": (lib.FORCE_POSITIVE_10V, 0.0, 10.0),
}
_CURRENTS = {1e-6: 6001, 10e-6: 6002, 100e-6: 6003, 1e-3: 6004, 10e-3: 6005}
_VOLTAGES = {5.0: lib.VOLTAGE_5V, 10.0: lib.VOLTAGE_10V}


@dataclass(frozen=True, slots=True)
class MeasureEvent:
    """Measurements in a pattern.

    Attributes
    ----------
    name : str
    start_s : float
        From the pattern's beginning, on the 10 ns grid.
    points : int
    interval_s : float
        10 ns to 1.342 s.
    average_s : float
        0, or 10 ns to 20 ms.
    raw : bool
        Every 5 ns sample instead of their average.
    """

    name: str
    start_s: float
    points: int
    interval_s: float
    average_s: float = 0.0
    raw: bool = False

    @property
    def stop_s(self) -> float:
        """When the last point is over."""
        return self.start_s + self.interval_s * (self.points - 1) + self.average_s


@dataclass(frozen=True, slots=True)
class RangeEvent:
    """A change of the current range in a pattern: ``range_a`` from `start_s` on."""

    name: str
    start_s: float
    range_a: float


@dataclass(frozen=True, slots=True)
class Pattern:
    """Straight lines between points, and what is measured on the way.

    Attributes
    ----------
    name : str
    start_v : float
        Voltage at its beginning.
    vectors : tuple of (float, float)
        How long a line takes, seconds on the 10 ns grid, and the voltage it ends at.
    measures, ranges : tuple of MeasureEvent, RangeEvent

    Raises
    ------
    SettingOutOfRange
        The module cannot play it.
    """

    name: str
    start_v: float
    vectors: tuple[tuple[float, float], ...]
    measures: tuple[MeasureEvent, ...] = ()
    ranges: tuple[RangeEvent, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.name or not self.name.isascii():
            raise _refused("name", self.name, "a pattern needs a name of ASCII characters")
        if not self.vectors:
            raise _refused("vectors", 0, f"pattern {self.name} has no vectors")
        for step_s, _ in self.vectors:
            _on_grid(f"step of {self.name}", step_s, *_STEP_S)
        for event in self.measures:
            self._check(event)
        for change in self.ranges:
            _on_grid(f"start of {change.name}", change.start_s, 0.0, self.duration_s)
            _coded(_CURRENTS, "range_a", change.range_a)

    def _check(self, event: MeasureEvent) -> None:
        _on_grid(f"start of {event.name}", event.start_s, 0.0, self.duration_s)
        _on_grid(f"interval of {event.name}", event.interval_s, *_INTERVAL_S)
        if event.average_s:
            _on_grid(f"average of {event.name}", event.average_s, *_AVERAGE_S)
        if event.points < 1 or event.average_s > event.interval_s * (1 + 1e-9):
            raise _refused("points", event.points, f"{event.name} needs points that do not overlap")
        if event.stop_s > self.duration_s + 1e-12:
            raise _refused(
                "points", event.points, f"{event.name} ends behind the {self.duration_s:g} s of {self.name}"
            )

    @property
    def duration_s(self) -> float:
        """How long it takes, seconds."""
        return round(sum(step_s for step_s, _ in self.vectors) / GRID_S) * GRID_S

    @property
    def levels_v(self) -> NDArray[np.float64]:
        """Every voltage it goes through."""
        return np.array([self.start_v, *(level for _, level in self.vectors)])

    @classmethod
    def pulse(cls, name: str, shape: PulseShape, level_v: float) -> Pattern:
        """Return a trapezoid from 0 V, its period the pattern's length; times are put on the 10 ns grid."""
        steps = [max(1, round(each / GRID_S)) for each in (shape.rise_s, shape.top_s, shape.fall_s)]
        rest = max(1, round(shape.period_s / GRID_S) - sum(steps))
        ends = (level_v, level_v, 0.0, 0.0)
        return cls(name, 0.0, tuple((n * GRID_S, end) for n, end in zip([*steps, rest], ends, strict=True)))

    def then(self, other: Pattern, name: str) -> Pattern:
        """Return this pattern and another one behind it, without what they measure."""
        joint = () if other.start_v == self.vectors[-1][1] else ((GRID_S, other.start_v),)
        return Pattern(name, self.start_v, (*self.vectors, *joint, *other.vectors))

    def scaled(self, name: str, *, time: float = 1.0, voltage: float = 1.0) -> Pattern:
        """Return it stretched in time and voltage, without what it measures."""
        vectors = tuple((step_s * time, level * voltage) for step_s, level in self.vectors)
        return Pattern(name, self.start_v * voltage, vectors)

    def measuring(self, *events: MeasureEvent) -> Pattern:
        """Return it with measurements."""
        return replace(self, measures=(*self.measures, *events))


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """What a channel measured: seconds from the start of its sequence, and volts or amperes."""

    t_s: NDArray[np.float64]
    value: NDArray[np.float64]


class Wgfmu:
    """The waveform modules of a B1500A; made by :meth:`open`, a context manager that leaves them at 0 V and open.

    Parameters
    ----------
    library : WgfmuLibrary
        The vendor's, or a simulated one.

    Attributes
    ----------
    channels : tuple of int
        601: slot 6, first channel.
    """

    def __init__(self, library: WgfmuLibrary) -> None:
        self.library = library
        self.channels: tuple[int, ...] = ()
        self._forces: dict[int, tuple[float, float]] = {}
        self._connected: set[int] = set()

    @classmethod
    def open(
        cls, address: str, *, library: WgfmuLibrary | None = None, timeout_s: float = _TIMEOUT_S
    ) -> Self:
        """Open the modules of the mainframe at a VISA address, and reset them.

        Raises
        ------
        WgfmuLibraryMissing
            The vendor's library is not installed.
        InstrumentError
            The library reports an error: another program holds the mainframe, or it waits with an error unread.
        """
        made = cls(VendorLibrary() if library is None else library)
        made._check(made.library.open_session(address), "openSession")
        try:
            made._check(made.library.set_timeout(timeout_s), "setTimeout")
            made._check(made.library.initialize(), "initialize")
            code, made.channels = made.library.get_channel_ids()
            made._check(code, "getChannelIds")
        except BaseException:
            made.library.close_session()
            raise
        return made

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(InstrumentError):
            self.make_safe()
        self.close()

    # ---- setting up ---------------------------------------------------------------------------------------
    def configure(
        self,
        channel: int,
        *,
        mode: Literal["fast-iv", "pg"] = "fast-iv",
        force: Literal["auto", "3V", "5V", "-10V", "+10V"] = "auto",
        measure: Literal["voltage", "current"] | None = "current",
        range_a: float = 10e-3,
        range_v: float = 10.0,
        force_delay_s: float = 0.0,
        measure_delay_s: float = 0.0,
    ) -> None:
        """Set up a channel and connect it.

        Parameters
        ----------
        channel : int
        mode : {"fast-iv", "pg"}
            PG is faster and forces through 50 ohm, within 5 V, and measures voltages only.
        force : {"auto", "3V", "5V", "-10V", "+10V"}
            Range of the output.
        measure : {"voltage", "current"} or None
        range_a, range_v : float
            Measuring range: 1 uA to 10 mA in decades, 5 or 10 V.
        force_delay_s, measure_delay_s : float
            -50 ns to 50 ns.

        Raises
        ------
        SettingOutOfRange, InstrumentError
        """
        if mode == "pg" and (measure == "current" or force not in ("3V", "5V")):
            raise _refused("mode", mode, "PG forces within 3 or 5 V and measures voltages only")
        code, low, high = _FORCES[force]
        current, voltage = _coded(_CURRENTS, "range_a", range_a), _coded(_VOLTAGES, "range_v", range_v)
        for name, delay_s in (("force_delay_s", force_delay_s), ("measure_delay_s", measure_delay_s)):
            if not _DELAY_S[0] <= delay_s <= _DELAY_S[1]:
                raise _refused(name, delay_s, "delays go from -50 ns to 50 ns")
        made = self.library
        self._check(made.set_operation_mode(channel, _MODES[mode]), "setOperationMode")
        self._check(made.set_force_voltage_range(channel, code), "setForceVoltageRange")
        self._check(
            made.set_measure_enabled(channel, lib.DISABLED if measure is None else lib.ENABLED),
            "setMeasureEnabled",
        )
        if measure == "current":
            self._check(made.set_measure_mode(channel, lib.MEASURE_CURRENT), "setMeasureMode")
            self._check(made.set_measure_current_range(channel, current), "setMeasureCurrentRange")
        elif measure == "voltage":
            self._check(made.set_measure_mode(channel, lib.MEASURE_VOLTAGE), "setMeasureMode")
            self._check(made.set_measure_voltage_range(channel, voltage), "setMeasureVoltageRange")
        self._check(made.set_force_delay(channel, force_delay_s), "setForceDelay")
        self._check(made.set_measure_delay(channel, measure_delay_s), "setMeasureDelay")
        self._check(made.connect(channel), "connect")
        self._forces[channel] = (low, high)
        self._connected.add(channel)

    # ---- playing ------------------------------------------------------------------------------------------
    def run(self, sequences: Mapping[int, Sequence[tuple[Pattern, int]]]) -> dict[int, Recorded]:
        """Play patterns on channels, all from one start, and return what was measured, by channel.

        Results are fetched before it returns: the library deletes them with the next change of the set-up.

        Parameters
        ----------
        sequences : mapping of int to sequence of (Pattern, int)
            What each channel plays, and how often; channels have to be configured.

        Raises
        ------
        SettingOutOfRange, InstrumentError
        """
        patterns = self._patterns(sequences)
        made = self.library
        self._check(made.clear(), "clear")
        for pattern in patterns.values():
            self._send(pattern)
        for channel, plays in sequences.items():
            for pattern, count in plays:
                self._check(made.add_sequence(channel, pattern.name, float(count)), "addSequence")
        self._check(made.execute(), "execute")
        self._check(made.wait_until_completed(), "waitUntilCompleted")
        return {
            channel: self._fetched(channel)
            for channel, plays in sequences.items()
            if any(pattern.measures for pattern, _ in plays)
        }

    def _patterns(self, sequences: Mapping[int, Sequence[tuple[Pattern, int]]]) -> dict[str, Pattern]:
        found: dict[str, Pattern] = {}
        for channel, plays in sequences.items():
            if channel not in self._forces:
                raise _refused("channel", channel, "the channel is not configured: call configure() first")
            low, high = self._forces[channel]
            for pattern, count in plays:
                if not 1 <= count <= _COUNT:
                    raise _refused("count", count, "a pattern is played 1 to 10^12 times")
                levels = pattern.levels_v
                if levels.min() < low or levels.max() > high:
                    raise _refused(
                        "level", float(levels[np.argmax(np.abs(levels))]),
                        f"{pattern.name} leaves {low:g} .. {high:g} V of channel {channel}",
                    )  # fmt: skip
                if found.setdefault(pattern.name, pattern) != pattern:
                    raise _refused("name", pattern.name, "two different patterns have one name")
        return found

    def _send(self, pattern: Pattern) -> None:
        made, name = self.library, pattern.name
        self._check(made.create_pattern(name, pattern.start_v), "createPattern")
        steps, levels = zip(*pattern.vectors, strict=True)
        self._check(made.add_vectors(name, steps, levels), "addVectors")
        for event in pattern.measures:
            raw = lib.RAW if event.raw else lib.AVERAGED
            times = (event.start_s, event.points, event.interval_s, event.average_s)
            self._check(made.set_measure_event(name, event.name, *times, raw), "setMeasureEvent")
        for change in pattern.ranges:
            code = _coded(_CURRENTS, "range_a", change.range_a)
            self._check(made.set_range_event(name, change.name, change.start_s, code), "setRangeEvent")

    def _fetched(self, channel: int) -> Recorded:
        code, measured, _ = self.library.get_measure_value_size(channel)
        self._check(code, "getMeasureValueSize")
        code, times, values = self.library.get_measure_values(channel, 0, measured)
        self._check(code, "getMeasureValues")
        return Recorded(np.array(times), np.array(values))

    # ---- leaving ------------------------------------------------------------------------------------------
    def abort(self) -> None:
        """Stop what plays; channels keep the voltage of that moment, see :meth:`make_safe`."""
        self._check(self.library.abort(), "abort")

    def make_safe(self) -> None:
        """Stop what plays, bring every channel that was connected to 0 V and open its switch."""
        self.abort()
        for channel in sorted(self._connected):
            self._check(self.library.set_operation_mode(channel, lib.MODE_DC), "setOperationMode")
            self._check(self.library.dc_force_voltage(channel, 0.0), "dcforceVoltage")
            self._check(self.library.disconnect(channel), "disconnect")
        self._connected.clear()
        self._forces.clear()

    def self_calibrate(self) -> None:
        """Run the self-calibration of the modules, outputs open.

        Raises
        ------
        InstrumentError
            It failed.
        """
        code, result, detail = self.library.do_self_calibration()
        self._check(code, "doSelfCalibration")
        if result:
            raise InstrumentError(
                f"the self-calibration of the waveform modules failed: {detail}; have them serviced"
            )

    def close(self) -> None:
        """Release the session."""
        self.library.close_session()

    def _check(self, code: int, function: str) -> None:
        if code >= 0:
            return
        _, summary = self.library.get_error_summary()
        name = lib.ERRORS.get(code, "unknown")
        raise InstrumentError(
            f"WGFMU_{function} returned {code} ({name}): {summary.strip() or 'no more is said'}; for COMMUNICATION and "
            "FW close EasyEXPERT and other links to the B1500A, and read its errors out",
            errors=(BoardError(code, name),),
        )


def _refused(setting: str, value: object, why: str) -> SettingOutOfRange:
    return SettingOutOfRange(
        f"{setting} = {value!r} cannot be set: {why}; nothing was sent", setting=setting, value=value
    )


def _coded(codes: Mapping[float, int], setting: str, value: float) -> int:
    for known, code in codes.items():
        if abs(value - known) <= 1e-6 * known:
            return code
    raise _refused(setting, value, f"there are {', '.join(f'{each:g}' for each in codes)}")


def _on_grid(what: str, value_s: float, low_s: float, high_s: float) -> None:
    if not low_s - 1e-12 <= value_s <= high_s * (1 + 1e-12) or abs(
        value_s / GRID_S - round(value_s / GRID_S)
    ) > max(1e-3, 1e-9 * value_s / GRID_S):
        raise SettingOutOfRange(
            f"{what} = {value_s:g} s has to be {low_s:g} .. {high_s:g} s in steps of 10 ns; nothing was sent",
            setting=what,
            value=value_s,
            low=low_s,
            high=high_s,
        )
