"""One channel of a 4225-PMU as a pulse source: its limits, its trapezoid, and what it measured meanwhile."""

from __future__ import annotations

from drivers.instruments.keithley_4200_pmu import COUNT_MAX, Capture, PmuSettings, PulseCard, outside
from drivers.properties import Part
from drivers.roles import PulseLimits, PulseShape

__all__ = ["PmuChannel"]

_SHORTEST_S = {10: (60e-9, 40e-9, 20e-9), 40: (500e-9, 250e-9, 50e-9)}
"""Source range -> shortest period, width and edge (instruments §2.6)."""
_EDGE_MAX_S, _PERIOD_MAX_S, _OFF_MIN_S = 33e-3, 1.0, 40e-9


class PmuChannel(Part):
    """A channel of the pulse card; has the role :class:`drivers.roles.PulseSource`."""

    def __init__(self, card: PulseCard, number: int) -> None:
        self.card, self.number = card, number

    def __repr__(self) -> str:
        return f"<pmu1_{self.number} of {self.card.instrument!r}>"

    def configure(
        self,
        *,
        source_range_v: int | None = None,
        range_a: float | None = None,
        load_ohm: float | None = None,
        compensate: bool | None = None,
    ) -> None:
        """Configure ranges and load; what is left out stays. It is sent with the next burst.

        Raises
        ------
        SettingOutOfRange
            No such source range, or a load outside 1 .. 1e7 Ohm.
        """
        if source_range_v not in (None, 10, 40):
            raise outside("source_range_v", source_range_v or 0, 10, 40)
        if load_ohm is not None and not 1.0 <= load_ohm <= 1e7:
            raise outside("load_ohm", load_ohm, 1.0, 1e7)
        if range_a is not None and not 1e-7 <= range_a <= 0.8:
            raise outside("range_a", range_a, 1e-7, 0.8)
        before = self.card.settings_of[self.number]
        self.card.settings_of[self.number] = PmuSettings(
            before.source_range_v if source_range_v is None else source_range_v,
            before.range_a if range_a is None else range_a,
            before.load_ohm if load_ohm is None else load_ohm,
            before.compensate if compensate is None else compensate,
        )

    def pulse_limits(self) -> PulseLimits:
        """Return what the channel can do on its source range."""
        settings = self.card.settings_of[self.number]
        period_s, width_s, edge_s = _SHORTEST_S[settings.source_range_v]
        edges = (edge_s, _EDGE_MAX_S)
        most = float(settings.source_range_v)
        return PulseLimits(
            rise_s=edges,
            top_s=(max(width_s - edge_s, 10e-9), _PERIOD_MAX_S - 2 * edge_s - _OFF_MIN_S),
            fall_s=edges,
            period_s=(period_s, _PERIOD_MAX_S),
            open_v=(-most, most),
            source_ohm=0.0 if settings.compensate else 50.0,
            count_max=COUNT_MAX,
        )

    def prepare(self, shape: PulseShape) -> None:
        """Set up the trapezoid; the output stays as it is.

        Raises
        ------
        SettingOutOfRange
            A time the channel does not have; nothing was sent.
        """
        limits = self.pulse_limits()
        for name in ("rise_s", "top_s", "fall_s", "period_s"):
            low, high = getattr(limits, name)
            value = getattr(shape, name)
            if not low * (1 - 1e-9) <= value <= high * (1 + 1e-9):
                raise outside(name, value, low, high)
        busy_s = shape.rise_s + shape.top_s + shape.fall_s
        if shape.period_s - busy_s <= _OFF_MIN_S:
            raise outside("period_s", shape.period_s, busy_s + _OFF_MIN_S, _PERIOD_MAX_S)
        width_s = shape.top_s + (shape.rise_s + shape.fall_s) / 2
        if shape.rise_s > width_s:
            raise outside("rise_s", shape.rise_s, limits.rise_s[0], width_s)
        self.card.shapes[self.number] = shape

    def fire(self, open_v: float, count: int = 1) -> None:
        """Give pulses of `open_v` on this channel alone; returns when they are over and the output is open again.

        Raises
        ------
        SettingOutOfRange, SourceVoltageReached, PulserTooHot, InstrumentError
        """
        self.card.fire({self.number: open_v}, count)

    def capture(self) -> Capture:
        """Fetch voltage and current measured during the last burst.

        Every pulse's waveform of bursts up to 64 pulses, their mean waveform beyond.
        """
        return self.card.fetch(self.number)

    def zero(self) -> None:
        """Switch the output off, so that relays may be switched; it is off between bursts anyway."""
        self.card.tell(f":PMU:OUTPUT:STATE {self.number},0")
