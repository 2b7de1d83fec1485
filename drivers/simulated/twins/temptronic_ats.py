"""The twin of a Temptronic / inTEST ATS ThermoStream (instruments §2.10).

What is no command, or has a parameter that cannot be, sets a bit of ``*ESR?`` and is not answered: a default, as for
other instruments that speak no SCPI.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from drivers.simulated.locks import FairLock
from drivers.simulated.terminals import Bench
from drivers.simulated.twin import Twin, TwinLink
from drivers.simulated.twins.temptronic_air import TICK_NS, Setpoint, Stream

if TYPE_CHECKING:
    from drivers.bench_simulated import SimulatedTwin
    from drivers.simulated.world import World

__all__ = ["TemptronicTwin", "build"]

ZERO_K = 273.15
INVALID_C = 999.9  # above 400: no valid reading (instruments §2.10)
HOT, AMBIENT, COLD = range(3)
_EXE, _CME, _PON = 16, 32, 128
NO_DUT_SENSOR = 16384
AT, NOT_AT, END_OF_TEST = 1, 2, 4
_LOWEST_C = {"ATS525": -60.0, "ATS545": -80.0}
_WHAT = {"ATS525": "5", "ATS545": "10"}  # on the operator screen, by the interface manuals of each
SCFM_L_S = 0.471947  # litres per second in a cubic foot per minute
FLOW_SCFM = 8.0  # a default


class _Refused(Exception):  # noqa: N818 - what happened
    """A parameter cannot be."""


class TemptronicTwin(Twin):
    """One ThermoStream.

    Parameters
    ----------
    name, bench, lock
        As of :class:`~drivers.simulated.twin.Twin`.
    model : str
        "ATS525" or "ATS545".
    identity : str
        Reply to ``*IDN?``.
    device_s : float
        Time constant of the device in the stream, s.
    """

    def __init__(
        self, name: str, bench: Bench, lock: FairLock, *, model: str, identity: str, device_s: float
    ) -> None:
        super().__init__(name, bench, lock)
        self.model, self.identity = model, identity
        self.stream = Stream(bench.ambient_k() - ZERO_K, device_s)
        self.faults = 0
        self._esr, self._events = _PON, 0
        self._tick = bench.now_ns // TICK_NS
        self._told_c = math.nan
        self._settings: dict[str, float] = {}
        self._points: list[Setpoint] = []
        self._chosen = AMBIENT
        self._restore()
        bench.on_time(self.passed)

    def _restore(self) -> None:
        """Go to the operator screen with its defaults; settings, not errors."""
        self._settings = {
            "HEAD": 0, "FLOW": 0, "DUTM": 0, "DSNS": 1, "DUTC": 100, "LLIM": _LOWEST_C[self.model], "ULIM": 225,
            "ADMD": 50, "TTIM": 9999, "COOL": 1, "CYCC": 0, "LRNM": 0,
        }  # fmt: skip
        self._points = [
            Setpoint(125.0),
            Setpoint(25.0),
            Setpoint(-40.0),
            *(Setpoint(25.0) for _ in range(15)),
        ]
        self._chosen = AMBIENT

    # ---- time ---------------------------------------------------------------------------------------------------
    @property
    def _flows(self) -> bool:
        return bool(self._settings["FLOW"] and self._settings["HEAD"])

    def passed(self) -> int:
        """Bring the stream up to the bench's time; returns up to when time may pass without another look."""
        now, room_c = self.bench.now_ns, self.bench.ambient_k() - ZERO_K
        if room_c != self.stream.room_c:
            self.stream.room_c, self.stream.moved_c = room_c, math.inf
        ticks = now // TICK_NS - self._tick
        self._tick += ticks
        get = self._settings
        while ticks > 0 and not self.stream.still:
            self.stream.step(
                self._points[self._chosen],
                flows=self._flows,
                by_device=bool(get["DUTM"]),
                limits_c=(get["LLIM"], get["ULIM"]),
                difference_c=get["ADMD"],
                cooled=bool(get["COOL"]),
            )
            ticks -= 1
        self.stream.wait(max(0, ticks))
        self._events |= self._condition()
        if not abs(self.stream.device_c - self._told_c) < 1e-3:
            self._told_c = self.stream.device_c
            self.bench.heat(self._told_c + ZERO_K)
        return self.stream.next_ns(now)

    def _condition(self) -> int:
        point, stream = self._points[self._chosen], self.stream
        value = AT if stream.in_window_s and stream.in_window_s >= point.soak_s else NOT_AT
        return value | (END_OF_TEST if stream.at_setpoint_s >= self._settings["TTIM"] else 0)

    def _changed(self) -> None:
        self.stream.moved_c = math.inf
        self.stream.at_setpoint_s = 0.0
        if self._settings["DUTM"] and not self._settings["DSNS"]:
            self.faults |= NO_DUT_SENSOR
        self.bench.on_time(self.passed)

    # ---- messages -----------------------------------------------------------------------------------------------
    def obey(self, message: bytes, link: TwinLink) -> None:  # noqa: D102 - said by Twin
        text = message.decode("latin-1").strip()
        if not text:
            return
        self.passed()
        header, _, rest = text.partition(" ")
        header = header.upper()
        try:
            reply = self._answered(header[:-1]) if header.endswith("?") else self._set(header, rest.strip())
        except KeyError:
            self._esr |= _CME
        except _Refused:
            self._esr |= _EXE
        else:
            if reply:
                link.answer(f"{reply}\n".encode("latin-1"))

    def _answered(self, header: str) -> str:
        if header in self._settings and header not in ("FLOW", "COOL", "CYCL"):
            return f"{self._settings[header]:g}"
        return _QUERIES[header](self)

    def _sensed(self) -> float:
        return self._device() if self._settings["DUTM"] else self.stream.air_c

    def _device(self) -> float:
        return self.stream.device_c if self._settings["DSNS"] else INVALID_C

    def _auxiliary(self) -> int:
        get = self._settings
        return (
            (512 if self._points[self._chosen].rate < 9999 else 0)
            | 256  # manual mode
            | 64  # ready
            | (32 if self._flows else 0)
            | (16 if get["DUTM"] else 0)
            | (0 if get["COOL"] else 8)
            | (0 if get["HEAD"] else 4)
        )

    def _take_esr(self) -> int:
        value, self._esr = self._esr, 0
        return value

    def _take_events(self) -> int:
        value, self._events = self._events, 0
        return value

    def _set(self, header: str, rest: str) -> str:
        if header in ("%RM", "%GL", "%LL", "NEXT"):
            return ""
        if header in ("*CLS", "CLER", "RSTO", "*RST"):
            self._whole(header)
            return ""
        try:
            value = float(rest)
        except ValueError:
            raise _Refused(rest) from None
        if header in _SPANS:
            low, high = _SPANS[header]
            if not low <= value <= high or (
                high <= 2 and value != int(value)
            ):  # switches and choices are whole
                raise _Refused(rest)
            self._settings[header] = value
        elif header in _POINT:
            low, high, name = _POINT[header]
            if header == "SETP":
                low, high = max(low, self._settings["LLIM"]), min(high, self._settings["ULIM"])
            if not low <= value <= high:
                raise _Refused(rest)
            setattr(self._points[self._chosen], name, value)
        elif header == "SETN":
            if not 0 <= value < len(self._points) or value != int(value):
                raise _Refused(rest)
            self._chosen = int(value)
        elif header not in ("CFIL", "SFIL", "RMPC", "RMPS", "CYCL"):  # screens and files: nothing behind them
            raise KeyError(header)
        self._changed()
        return ""

    def _whole(self, header: str) -> None:
        if header == "*CLS":
            self._esr = self._events = 0
        elif header == "CLER":
            self.faults = 0
        else:
            self._restore()
        self._changed()


_SPANS: dict[str, tuple[float, float]] = {
    "HEAD": (0, 1), "FLOW": (0, 1), "DUTM": (0, 1), "DSNS": (0, 2), "DUTC": (20, 500), "LLIM": (-99, 25),
    "ULIM": (25, 225), "ADMD": (10, 300), "TTIM": (0, 9999), "COOL": (0, 1), "CYCC": (0, 9999), "LRNM": (0, 1),
}  # fmt: skip
_POINT: dict[str, tuple[float, float, str]] = {
    "SETP": (-99.9, 225.0, "celsius"),
    "WNDW": (0.1, 9.9, "window_c"),
    "SOAK": (0.0, 9999.0, "soak_s"),
    "RAMP": (0.0, 9999.0, "rate"),
}
_QUERIES: dict[str, Callable[[TemptronicTwin], str]] = {
    "*IDN": lambda twin: twin.identity,
    "*ESR": lambda twin: str(twin._take_esr()),
    "*OPC": lambda twin: "1",
    "*STB": lambda twin: "0",
    "TEMP": lambda twin: f"{twin._sensed():.1f}",
    "TMPA": lambda twin: f"{twin.stream.air_c:.1f}",
    "TMPD": lambda twin: f"{twin._device():.1f}",
    "SETP": lambda twin: f"{twin._points[twin._chosen].celsius:.1f}",
    "SETD": lambda twin: f"{twin.stream.dynamic_c:.1f}",
    "SETN": lambda twin: str(twin._chosen),
    "WNDW": lambda twin: f"{twin._points[twin._chosen].window_c:.1f}",
    "SOAK": lambda twin: f"{twin._points[twin._chosen].soak_s:g}",
    "RAMP": lambda twin: f"{twin._points[twin._chosen].rate:g}",
    "TECR": lambda twin: str(twin._condition()),
    "TESR": lambda twin: str(twin._take_events()),
    "EROR": lambda twin: str(twin.faults),
    "AUXC": lambda twin: str(twin._auxiliary()),
    "WHAT": lambda twin: _WHAT[twin.model],
    "CYCL": lambda twin: "0",
    "FLWR": lambda twin: f"{FLOW_SCFM if twin._flows else 0.0:.1f}",
    "FLRL": lambda twin: f"{FLOW_SCFM * SCFM_L_S if twin._flows else 0.0:.1f}",
}


def build(name: str, simulated: SimulatedTwin, world: World) -> TemptronicTwin:
    """Build an ATS-525 or ATS-545; its option is ``device_s``, the time constant of the device in the stream.

    Raises
    ------
    ValueError
        Options there are not.
    """
    model = simulated.model.removeprefix("temptronic-").upper()
    device_s = simulated.options.get("device_s", 15.0)
    if simulated.options.keys() - {"device_s"} or not isinstance(device_s, int | float) or device_s <= 0:
        raise ValueError(f"{name}: the only option is device_s, seconds above 0")
    serial, firmware = simulated.serial or "1234567", simulated.firmware or "1.00"
    return TemptronicTwin(
        name,
        world,
        world.lock,
        model=model,
        identity=f"inTEST Thermal,ATS-{model[3:]},{serial},{firmware}",
        device_s=float(device_s),
    )
