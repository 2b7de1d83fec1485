"""The waveform generator of a B1500A (B1530A, WGFMU): patterns as Python objects, played and measured in one call.

An adapter of its own beside :class:`~drivers.instruments.keysight_b1500.KeysightB1500`: the module is reached through
the vendor's library only, which holds the GPIB session while it is open. Limits are those of instruments §2.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from drivers.chip import BoardError
from drivers.errors import InstrumentError
from drivers.instruments import keysight_wgfmu_library as lib
from drivers.instruments.keysight_wgfmu_dll import VendorLibrary
from drivers.instruments.keysight_wgfmu_library import WgfmuLibrary
from drivers.instruments.keysight_wgfmu_pattern import CURRENTS, Pattern, coded, refused

__all__ = ["Recorded", "Wgfmu"]

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
_VOLTAGES = {5.0: lib.VOLTAGE_5V, 10.0: lib.VOLTAGE_10V}


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
            raise refused("mode", mode, "PG forces within 3 or 5 V and measures voltages only")
        code, low, high = _FORCES[force]
        current, voltage = coded(CURRENTS, "range_a", range_a), coded(_VOLTAGES, "range_v", range_v)
        for name, delay_s in (("force_delay_s", force_delay_s), ("measure_delay_s", measure_delay_s)):
            if not _DELAY_S[0] <= delay_s <= _DELAY_S[1]:
                raise refused(name, delay_s, "delays go from -50 ns to 50 ns")
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
                raise refused("channel", channel, "the channel is not configured: call configure() first")
            low, high = self._forces[channel]
            for pattern, count in plays:
                if not 1 <= count <= _COUNT:
                    raise refused("count", count, "a pattern is played 1 to 10^12 times")
                levels = pattern.levels_v
                if levels.min() < low or levels.max() > high:
                    raise refused(
                        "level", float(levels[np.argmax(np.abs(levels))]),
                        f"{pattern.name} leaves {low:g} .. {high:g} V of channel {channel}",
                    )  # fmt: skip
                if found.setdefault(pattern.name, pattern) != pattern:
                    raise refused("name", pattern.name, "two different patterns have one name")
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
            code = coded(CURRENTS, "range_a", change.range_a)
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
