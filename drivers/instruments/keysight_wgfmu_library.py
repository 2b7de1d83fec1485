"""Keysight's WGFMU instrument library: its functions as a typed table, its codes and constants.

The B1530A has no FLEX commands for waveforms; only this library speaks to it (instruments §2.2). Every function returns
an error code first: 0, or one of :data:`ERRORS`. One session is open at a time, and it belongs to the process.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

__all__ = ["ERRORS", "WgfmuLibrary"]

ERRORS: dict[int, str] = {
    -1: "PARAMETER_OUT_OF_RANGE", -2: "ILLEGAL_STRING", -3: "CONTEXT", -4: "FUNCTION_NOT_SUPPORTED",
    -5: "COMMUNICATION", -6: "FW", -7: "LIBRARY", -8: "ERROR", -9: "CHANNEL_NOT_FOUND", -10: "PATTERN_NOT_FOUND",
    -11: "EVENT_NOT_FOUND", -12: "PATTERN_ALREADY_EXISTS", -13: "SEQUENCER_NOT_RUNNING", -14: "RESULT_NOT_READY",
    -15: "RESULT_OUT_OF_DATE",
}  # fmt: skip
"""Codes of the library's header."""

MODE_DC, MODE_FAST_IV, MODE_PG, MODE_SMU = 2000, 2001, 2002, 2003
FORCE_AUTO, FORCE_3V, FORCE_5V, FORCE_NEGATIVE_10V, FORCE_POSITIVE_10V = 3000, 3001, 3002, 3003, 3004
MEASURE_VOLTAGE, MEASURE_CURRENT = 4000, 4001
VOLTAGE_5V, VOLTAGE_10V = 5001, 5002
CURRENT_1UA, CURRENT_10UA, CURRENT_100UA, CURRENT_1MA, CURRENT_10MA = 6001, 6002, 6003, 6004, 6005
DISABLED, ENABLED = 7000, 7001
AXIS_TIME, AXIS_VOLTAGE = 9000, 9001
COMPLETED, DONE, RUNNING, ABORT_COMPLETED, ABORTED, RUNNING_ILLEGAL, IDLE = range(10_000, 10_007)
AVERAGED, RAW = 12_000, 12_001


class WgfmuLibrary(Protocol):
    """What :class:`drivers.instruments.keysight_wgfmu.Wgfmu` needs of the library, names and order as in its header.

    Times are seconds, levels volts, channels 101 to 1002. Functions return the error code, or a tuple that begins with
    it.
    """

    def open_session(self, address: str) -> int:
        """Open the mainframe at a VISA address."""

    def close_session(self) -> int:
        """Close it."""

    def initialize(self) -> int:
        """Reset all channels."""

    def set_timeout(self, seconds: float) -> int:
        """Set how long a function may wait (100 s)."""

    def get_channel_ids(self) -> tuple[int, tuple[int, ...]]:
        """Return the channels that are there."""

    def get_error_summary(self) -> tuple[int, str]:
        """Return what went wrong since the session was opened."""

    def do_self_calibration(self) -> tuple[int, int, str]:
        """Calibrate; returns 0 or 1 and details."""

    def set_operation_mode(self, channel: int, mode: int) -> int:
        """Choose DC, fast IV, PG or SMU."""

    def set_force_voltage_range(self, channel: int, code: int) -> int:
        """Choose the range of the output."""

    def set_measure_mode(self, channel: int, code: int) -> int:
        """Choose what is measured."""

    def set_measure_voltage_range(self, channel: int, code: int) -> int:
        """Choose the range of a voltage."""

    def set_measure_current_range(self, channel: int, code: int) -> int:
        """Choose the range of a current."""

    def set_force_delay(self, channel: int, delay_s: float) -> int:
        """Shift the output by +-50 ns."""

    def set_measure_delay(self, channel: int, delay_s: float) -> int:
        """Shift the measurement by +-50 ns."""

    def set_measure_enabled(self, channel: int, code: int) -> int:
        """Switch measuring on or off."""

    def connect(self, channel: int) -> int:
        """Close the output switch."""

    def disconnect(self, channel: int) -> int:
        """Open the output switch."""

    def clear(self) -> int:
        """Forget patterns, sequences and results."""

    def create_pattern(self, pattern: str, start_v: float) -> int:
        """Begin a pattern at a voltage."""

    def add_vectors(self, pattern: str, steps_s: Sequence[float], levels_v: Sequence[float]) -> int:
        """Append straight lines to a pattern: how long, and where to."""

    def set_vectors(self, pattern: str, times_s: Sequence[float], levels_v: Sequence[float]) -> int:
        """Set points of a pattern by absolute time."""

    def create_merged_pattern(self, pattern: str, first: str, second: str, axis: int) -> int:
        """Make a pattern of two: one after the other, or their sum."""

    def create_multiplied_pattern(
        self, pattern: str, of: str, time_factor: float, voltage_factor: float
    ) -> int:
        """Make a pattern by stretching another one."""

    def create_offset_pattern(self, pattern: str, of: str, time_s: float, voltage_v: float) -> int:
        """Make a pattern by shifting another one."""

    def set_measure_event(
        self,
        pattern: str,
        event: str,
        time_s: float,
        points: int,
        interval_s: float,
        average_s: float,
        raw: int,
    ) -> int:
        """Measure so many points in a pattern."""

    def set_range_event(self, pattern: str, event: str, time_s: float, code: int) -> int:
        """Change the current range in a pattern."""

    def set_trigger_out_event(self, pattern: str, event: str, time_s: float, duration_s: float) -> int:
        """Give a trigger in a pattern."""

    def add_sequence(self, channel: int, pattern: str, count: float) -> int:
        """Let a channel play a pattern so often, behind what it plays already."""

    def execute(self) -> int:
        """Start all sequences."""

    def abort(self) -> int:
        """Stop them; channels keep the voltage of that moment."""

    def wait_until_completed(self) -> int:
        """Return when they are over."""

    def get_status(self) -> tuple[int, int, float, float]:
        """Return the state, and elapsed and total seconds."""

    def get_measure_value_size(self, channel: int) -> tuple[int, int, int]:
        """Return how many values were measured, and how many will be."""

    def get_measure_values(
        self, channel: int, index: int, length: int
    ) -> tuple[int, list[float], list[float]]:
        """Return times and values from an index on."""

    def dc_force_voltage(self, channel: int, level_v: float) -> int:
        """Force a voltage, in DC mode."""

    def dc_measure_value(self, channel: int) -> tuple[int, float]:
        """Measure once, in DC mode."""
