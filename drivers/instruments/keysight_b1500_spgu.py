"""A pulse generator channel of a B1500A (B1525A): trapezoids on a baseline of 0 V.

Figures are those of the data sheet: 50 ohm, +-40 V into an open circuit, edges of 20 ns (to 10 V), 30 ns (to 20 V) or
60 ns from 10 to 90 %, widths from 50 ns, periods from 100 ns to 10 s. All generators of a mainframe share one period,
one count and one start, so firing one channel keeps the others at 0 V; :meth:`KeysightB1500.fire` fires several.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from drivers.errors import SettingOutOfRange
from drivers.instruments.keysight_b1500_formats import spell
from drivers.properties import Part, number, whole
from drivers.roles import PulseLimits, PulseShape

if TYPE_CHECKING:
    from drivers.instruments.keysight_b1500 import KeysightB1500

__all__ = ["SpguChannel"]

SOURCE_OHM = 50.0
_OPEN_LOAD_OHM = 1e6
"""Largest load the output can be told of; its correction for it is divided out of the level."""

_OPEN_V = 39.99
_EDGE_SHARE = 0.8
"""Edges are programmed from 10 to 90 %."""

_EDGES_S = ((10.0, 20e-9), (20.0, 30e-9), (40.0, 60e-9))
_LONGEST_EDGE_S = 0.4
_WIDTH_S = 50e-9
_PERIOD_S = (100e-9, 10.0)
_COUNT = 1_000_000


class SpguChannel(Part):
    """One output; has the role of :class:`drivers.roles.PulseSource`.

    Attributes
    ----------
    channel : int
        501 is the first of the module in slot 5.
    """

    load_ohm = number(
        "SER? {ch}",
        "SER {ch},{}",
        "Control the load impedance the output voltage is corrected for.",
        unit="Ohm",
        span=(0.1, 1e6),
        spell=spell,
    )
    mode = whole(
        "SPM? {ch}",
        "SPM {ch},{}",
        "Control what it gives: 0 a constant voltage, 1 or 2 pulses of that source, 3 three levels.",
        span=(0, 3),
    )
    period_s = number(
        "SPPER?",
        "SPPER {}",
        "Control the period, of all generators.",
        unit="s",
        span=(20e-9, 10.0),
        spell=spell,
    )

    def __init__(self, instrument: KeysightB1500, channel: int) -> None:
        self.instrument, self.channel = instrument, channel
        self.names: Mapping[str, str] = {"ch": str(channel)}
        self.shape: PulseShape | None = None

    def __repr__(self) -> str:
        return f"<SPGU {self.channel} of {self.instrument!r}>"

    def ask(self, query: str) -> str:
        """Ask the instrument something; returns its reply."""
        return self.instrument.ask(query)

    def tell(self, command: str) -> None:
        """Send a command, then look at the instrument's errors."""
        self.instrument.tell(command)

    # ---- the role -----------------------------------------------------------------------------------------
    def pulse_limits(self) -> PulseLimits:
        """Return what the channel can do, with the edges its data sheet specifies."""
        edge_s = (_EDGES_S[0][1] / _EDGE_SHARE, _LONGEST_EDGE_S / _EDGE_SHARE)
        return PulseLimits(
            rise_s=edge_s,
            top_s=(_WIDTH_S - edge_s[0], _PERIOD_S[1] - 2 * edge_s[0]),
            fall_s=edge_s,
            period_s=_PERIOD_S,
            open_v=(-_OPEN_V, _OPEN_V),
            source_ohm=SOURCE_OHM,
            count_max=_COUNT,
        )

    def prepare(self, shape: PulseShape) -> None:
        """Set up the trapezoid; the output stays off.

        Raises
        ------
        SettingOutOfRange
            The generator cannot give it; nothing was sent.
        InstrumentError
        """
        limits = self.pulse_limits()
        for name in ("rise_s", "top_s", "fall_s", "period_s"):
            low, high = getattr(limits, name)
            _within(name, getattr(shape, name), low, high)
        width_s = shape.top_s + (shape.rise_s + shape.fall_s) / 2
        # the whole trapezoid and the shortest gap the generator leaves have to fit
        least_s = shape.rise_s + shape.top_s + shape.fall_s + 10e-9
        _within("period_s", shape.period_s, least_s, limits.period_s[1])
        edges = f"{spell(shape.rise_s * _EDGE_SHARE)},{spell(shape.fall_s * _EDGE_SHARE)}"
        self.instrument.tell_all(
            [
                *self.instrument.pulse_mode(),
                f"CL {self.channel}",
                f"SPPER {spell(shape.period_s)}",
                f"SPT {self.channel},1,0,{spell(width_s)},{edges}",
                f"SER {self.channel},{spell(_OPEN_LOAD_OHM)}",
            ]
        )
        self.shape = shape

    def fire(self, open_v: float, count: int = 1) -> None:
        """Give pulses of `open_v` (into an open circuit) with the prepared shape; returns when they are over.

        Between calls the output is connected and at 0 V.

        Parameters
        ----------
        open_v : float
            Volt.
        count : int
            Pulses.

        Raises
        ------
        SettingOutOfRange, InstrumentError, LinkError
        """
        self.instrument.fire({self: open_v}, count)

    def zero(self) -> None:
        """Bring the terminals to 0 V, then open them: connected, their 50 Ohm load what else is wired to the device."""
        self.instrument.tell_all([*self.instrument.pulse_mode(), "SPP", *self.quiet(), f"CL {self.channel}"])

    # ---- for the instrument -------------------------------------------------------------------------------
    def quiet(self) -> list[str]:
        """Return the commands that keep it at 0 V whatever the others do."""
        return [f"SPM {self.channel},0", f"SPV {self.channel},0,0,0", f"SPUPD {self.channel}"]

    def armed(self, open_v: float, count: int) -> list[str]:
        """Return the commands behind which a start gives its pulses, after checking them."""
        if self.shape is None:
            raise SettingOutOfRange(
                f"no pulse is prepared on {self!r}: call prepare() first; nothing was sent", setting="shape"
            )
        _within("open_v", open_v, -_OPEN_V, _OPEN_V)
        _within("count", count, 1, _COUNT)
        edge_s = min(self.shape.rise_s, self.shape.fall_s) * _EDGE_SHARE
        shortest_s = next(least_s for volts, least_s in _EDGES_S if abs(open_v) <= volts)
        if edge_s < shortest_s * (1 - 1e-6):
            raise SettingOutOfRange(
                f"edges of {edge_s / _EDGE_SHARE:g} s are too steep for {open_v:g} V: {self!r} needs "
                f"{shortest_s / _EDGE_SHARE:g} s there; nothing was sent",
                setting="open_v",
                value=open_v,
            )
        level_v = open_v * _OPEN_LOAD_OHM / (_OPEN_LOAD_OHM + SOURCE_OHM)
        channel = self.channel
        return [
            f"SPM {channel},1",
            f"SPV {channel},1,0,{spell(level_v)}",
            f"CN {channel}",
            f"SPUPD {channel}",
        ]


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low * (1 - 1e-9 if low > 0 else 1) <= value <= high * (1 + 1e-9):
        raise SettingOutOfRange(
            f"{name} = {value:g} is outside {low:g} .. {high:g} of the pulse generator; nothing was sent",
            setting=name,
            value=value,
            low=low,
            high=high,
        )
