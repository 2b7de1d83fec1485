"""Keysight's WGFMU instrument library through ctypes: ``wgfmu.dll`` as :class:`WgfmuLibrary`."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from drivers.errors import DriverError

__all__ = ["VendorLibrary", "WgfmuLibraryMissing"]

# ruff: noqa: D102 - the functions are described in drivers.instruments.keysight_wgfmu_library


class WgfmuLibraryMissing(DriverError):  # noqa: N818 - the name says what happened
    """The vendor's library is not installed where Python can load it.

    Attributes
    ----------
    path : str or None
        What was looked for.
    """

    path: str | None = None


_TEXT = 65_536


class VendorLibrary:
    """The library through ctypes, ``wgfmu.dll`` of Keysight's instrument library for the B1530A.

    Parameters
    ----------
    path : str
        Of the library.
    loaded : object, optional
        A library that is loaded already.

    Raises
    ------
    WgfmuLibraryMissing
        It cannot be loaded.
    """

    def __init__(self, path: str = "wgfmu.dll", *, loaded: Any = None) -> None:
        self._library = _loaded(path) if loaded is None else loaded

    def _call(self, name: str, *arguments: Any) -> int:
        function = getattr(self._library, f"WGFMU_{name}")
        return int(function(*(_passed(each) for each in arguments)))

    def open_session(self, address: str) -> int:
        return self._call("openSession", address)

    def close_session(self) -> int:
        return self._call("closeSession")

    def initialize(self) -> int:
        return self._call("initialize")

    def set_timeout(self, seconds: float) -> int:
        return self._call("setTimeout", float(seconds))

    def get_channel_ids(self) -> tuple[int, tuple[int, ...]]:
        size = ctypes.c_int()
        code = self._call("getChannelIdSize", ctypes.byref(size))
        if code:
            return code, ()
        found = (ctypes.c_int * size.value)()
        return self._call("getChannelIds", found, ctypes.byref(size)), tuple(found[: size.value])

    def get_error_summary(self) -> tuple[int, str]:
        size = ctypes.c_int()
        code = self._call("getErrorSummarySize", ctypes.byref(size))
        if code:
            return code, ""
        size.value += 1
        text = ctypes.create_string_buffer(size.value)
        code = self._call("getErrorSummary", text, ctypes.byref(size))
        return code, text.value.decode("latin-1")

    def do_self_calibration(self) -> tuple[int, int, str]:
        result, size = ctypes.c_int(), ctypes.c_int(_TEXT)
        text = ctypes.create_string_buffer(_TEXT)
        code = self._call("doSelfCalibration", ctypes.byref(result), text, ctypes.byref(size))
        return code, result.value, text.value.decode("latin-1")

    def set_operation_mode(self, channel: int, mode: int) -> int:
        return self._call("setOperationMode", channel, mode)

    def set_force_voltage_range(self, channel: int, code: int) -> int:
        return self._call("setForceVoltageRange", channel, code)

    def set_measure_mode(self, channel: int, code: int) -> int:
        return self._call("setMeasureMode", channel, code)

    def set_measure_voltage_range(self, channel: int, code: int) -> int:
        return self._call("setMeasureVoltageRange", channel, code)

    def set_measure_current_range(self, channel: int, code: int) -> int:
        return self._call("setMeasureCurrentRange", channel, code)

    def set_force_delay(self, channel: int, delay_s: float) -> int:
        return self._call("setForceDelay", channel, float(delay_s))

    def set_measure_delay(self, channel: int, delay_s: float) -> int:
        return self._call("setMeasureDelay", channel, float(delay_s))

    def set_measure_enabled(self, channel: int, code: int) -> int:
        return self._call("setMeasureEnabled", channel, code)

    def connect(self, channel: int) -> int:
        return self._call("connect", channel)

    def disconnect(self, channel: int) -> int:
        return self._call("disconnect", channel)

    def clear(self) -> int:
        return self._call("clear")

    def create_pattern(self, pattern: str, start_v: float) -> int:
        return self._call("createPattern", pattern, float(start_v))

    def add_vectors(self, pattern: str, steps_s: Sequence[float], levels_v: Sequence[float]) -> int:
        return self._call("addVectors", pattern, _doubles(steps_s), _doubles(levels_v), len(steps_s))

    def set_vectors(self, pattern: str, times_s: Sequence[float], levels_v: Sequence[float]) -> int:
        return self._call("setVectors", pattern, _doubles(times_s), _doubles(levels_v), len(times_s))

    def create_merged_pattern(self, pattern: str, first: str, second: str, axis: int) -> int:
        return self._call("createMergedPattern", pattern, first, second, axis)

    def create_multiplied_pattern(
        self, pattern: str, of: str, time_factor: float, voltage_factor: float
    ) -> int:
        return self._call("createMultipliedPattern", pattern, of, float(time_factor), float(voltage_factor))

    def create_offset_pattern(self, pattern: str, of: str, time_s: float, voltage_v: float) -> int:
        return self._call("createOffsetPattern", pattern, of, float(time_s), float(voltage_v))

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
        times = (float(time_s), points, float(interval_s), float(average_s))
        return self._call("setMeasureEvent", pattern, event, *times, raw)

    def set_range_event(self, pattern: str, event: str, time_s: float, code: int) -> int:
        return self._call("setRangeEvent", pattern, event, float(time_s), code)

    def set_trigger_out_event(self, pattern: str, event: str, time_s: float, duration_s: float) -> int:
        return self._call("setTriggerOutEvent", pattern, event, float(time_s), float(duration_s))

    def add_sequence(self, channel: int, pattern: str, count: float) -> int:
        return self._call("addSequence", channel, pattern, float(count))

    def execute(self) -> int:
        return self._call("execute")

    def abort(self) -> int:
        return self._call("abort")

    def wait_until_completed(self) -> int:
        return self._call("waitUntilCompleted")

    def get_status(self) -> tuple[int, int, float, float]:
        state, elapsed, total = ctypes.c_int(), ctypes.c_double(), ctypes.c_double()
        code = self._call("getStatus", ctypes.byref(state), ctypes.byref(elapsed), ctypes.byref(total))
        return code, state.value, elapsed.value, total.value

    def get_measure_value_size(self, channel: int) -> tuple[int, int, int]:
        measured, total = ctypes.c_int(), ctypes.c_int()
        code = self._call("getMeasureValueSize", channel, ctypes.byref(measured), ctypes.byref(total))
        return code, measured.value, total.value

    def get_measure_values(
        self, channel: int, index: int, length: int
    ) -> tuple[int, list[float], list[float]]:
        count = ctypes.c_int(length)
        times, values = (ctypes.c_double * length)(), (ctypes.c_double * length)()
        code = self._call("getMeasureValues", channel, index, ctypes.byref(count), times, values)
        return code, list(times[: count.value]), list(values[: count.value])

    def dc_force_voltage(self, channel: int, level_v: float) -> int:
        return self._call("dcforceVoltage", channel, float(level_v))

    def dc_measure_value(self, channel: int) -> tuple[int, float]:
        value = ctypes.c_double()
        return self._call("dcmeasureValue", channel, ctypes.byref(value)), value.value


def _passed(value: Any) -> Any:
    if isinstance(value, str):
        return ctypes.c_char_p(value.encode("latin-1"))
    if isinstance(value, float):
        return ctypes.c_double(value)
    return ctypes.c_int(value) if isinstance(value, int) else value


def _doubles(values: Sequence[float]) -> Any:
    return (ctypes.c_double * len(values))(*map(float, values))


def _loaded(path: str) -> Any:
    load = getattr(ctypes, "WinDLL", ctypes.CDLL)
    try:
        return load(path)
    except OSError as error:
        raise WgfmuLibraryMissing(
            f"{path} cannot be loaded ({error}): install Keysight's B1530A (WGFMU) Instrument Library on this Windows "
            "computer, use a Python of its bits (32 or 64), and name the file where it is not on the search path",
            path=path,
        ) from error
