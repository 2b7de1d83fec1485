"""Driver of the Keysight 33500B and 33600A waveform generators, two channels.

The pulses and bursts are those of :mod:`drivers.instruments.pulse_generator`; this is their dialect (instruments
§2.4). A burst is triggered by ``TRIG<n>`` with the trigger source on the bus.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.instruments.pulse_generator import EDGE, PulseChannel, PulseGenerator
from drivers.message_link import MessageLink
from drivers.properties import choice, number, switch, whole
from drivers.roles import PulseLimits

__all__ = ["Channel33500", "Keysight33500"]

_COUNT_MAX = 100_000_000
_POINTS_MIN = 8
_WAVEFORM = "LABKIT"


class Channel33500(PulseChannel):
    """One channel of a 33500B or 33600A.

    Levels of properties are those the configured load sees (:attr:`load_ohm`); :meth:`fire` speaks of the open output.
    """

    dac_max = 32_767

    shape = choice(
        ":SOUR{n}:FUNC?",
        ":SOUR{n}:FUNC {}",
        "Control the shape of the waveform.",
        {word: word for word in ("SIN", "SQU", "TRI", "RAMP", "PULS", "PRBS", "NOIS", "ARB", "DC")},
    )
    frequency_hz = number(
        ":SOUR{n}:FREQ?", ":SOUR{n}:FREQ {}", "Control the frequency.", unit="Hz", span=(1e-6, 120e6)
    )
    period_s = number(
        ":SOUR{n}:FUNC:PULS:PER?",
        ":SOUR{n}:FUNC:PULS:PER {}",
        "Control the period of pulses.",
        unit="s",
        span="period_span_s",
    )
    width_s = number(
        ":SOUR{n}:FUNC:PULS:WIDT?",
        ":SOUR{n}:FUNC:PULS:WIDT {}",
        "Control the width of pulses at half height.",
        unit="s",
        span="width_span_s",
    )
    duty_percent = number(
        ":SOUR{n}:FUNC:PULS:DCYC?",
        ":SOUR{n}:FUNC:PULS:DCYC {}",
        "Control the width of pulses as a part of the period.",
        unit="%",
        span=(0.01, 99.99),
    )
    hold = choice(
        ":SOUR{n}:FUNC:PULS:HOLD?",
        ":SOUR{n}:FUNC:PULS:HOLD {}",
        "Control what is kept when the period changes: width or duty cycle.",
        {"WIDT": "WIDT", "DCYC": "DCYC"},
    )
    lead_s = number(
        ":SOUR{n}:FUNC:PULS:TRAN:LEAD?",
        ":SOUR{n}:FUNC:PULS:TRAN:LEAD {}",
        "Control the leading edge, 10 to 90 %.",
        unit="s",
        span="edge_span_s",
    )
    trail_s = number(
        ":SOUR{n}:FUNC:PULS:TRAN:TRA?",
        ":SOUR{n}:FUNC:PULS:TRAN:TRA {}",
        "Control the trailing edge, 10 to 90 %.",
        unit="s",
        span="edge_span_s",
    )
    unit = choice(
        ":SOUR{n}:VOLT:UNIT?",
        ":SOUR{n}:VOLT:UNIT {}",
        "Control the unit of the amplitude.",
        {"VPP": "VPP", "VRMS": "VRMS", "DBM": "DBM"},
    )
    amplitude_v = number(
        ":SOUR{n}:VOLT?", ":SOUR{n}:VOLT {}", "Control the amplitude from peak to peak.", unit="V"
    )
    offset_v = number(
        ":SOUR{n}:VOLT:OFFS?", ":SOUR{n}:VOLT:OFFS {}", "Control the middle of both levels.", unit="V"
    )
    high_v = number(":SOUR{n}:VOLT:HIGH?", ":SOUR{n}:VOLT:HIGH {}", "Control the upper level.", unit="V")
    low_v = number(":SOUR{n}:VOLT:LOW?", ":SOUR{n}:VOLT:LOW {}", "Control the lower level.", unit="V")
    output = switch(
        ":OUTP{n}?", ":OUTP{n} {}", "Control whether the output is connected.", on="ON", off="OFF"
    )
    polarity = choice(
        ":OUTP{n}:POL?",
        ":OUTP{n}:POL {}",
        "Control whether the levels are exchanged.",
        {"NORM": "NORM", "INV": "INV"},
    )
    load_ohm = number(
        ":OUTP{n}:LOAD?",
        ":OUTP{n}:LOAD {}",
        "Control the load the levels are meant for, 1 Ohm to 10 kOhm, or infinite.",
        unit="Ohm",
        span=(1.0, float("inf")),
        spell=lambda value: "INF" if value > 10e3 else f"{value:.10g}",
    )
    trigger_source = choice(
        ":TRIG{n}:SOUR?",
        ":TRIG{n}:SOUR {}",
        "Control what starts a burst.",
        {"IMM": "IMM", "EXT": "EXT", "TIM": "TIM", "BUS": "BUS"},
    )
    burst = switch(
        ":SOUR{n}:BURS:STAT?",
        ":SOUR{n}:BURS:STAT {}",
        "Control whether bursts are given.",
        on="ON",
        off="OFF",
    )
    burst_mode = choice(
        ":SOUR{n}:BURS:MODE?",
        ":SOUR{n}:BURS:MODE {}",
        "Control whether a burst has a number of cycles or lasts as long as its gate.",
        {"TRIG": "TRIG", "GAT": "GAT"},
    )
    burst_cycles = whole(
        ":SOUR{n}:BURS:NCYC?",
        ":SOUR{n}:BURS:NCYC {}",
        "Control the cycles of a burst.",
        span=(1, _COUNT_MAX),
    )
    burst_period_s = number(
        ":SOUR{n}:BURS:INT:PER?",
        ":SOUR{n}:BURS:INT:PER {}",
        "Control the time from burst to burst.",
        unit="s",
        span=(1e-6, 8000.0),
    )
    arb_rate_hz = number(
        ":SOUR{n}:FUNC:ARB:SRAT?",
        ":SOUR{n}:FUNC:ARB:SRAT {}",
        "Control the points per second of a stored waveform.",
        unit="Hz",
        span=(1e-6, 250e6),
    )
    arb_filter = choice(
        ":SOUR{n}:FUNC:ARB:FILT?",
        ":SOUR{n}:FUNC:ARB:FILT {}",
        "Control how the points of a stored waveform are joined.",
        {"NORM": "NORM", "STEP": "STEP", "OFF": "OFF"},
    )

    @property
    def period_span_s(self) -> tuple[float, float]:
        """Get the shortest and longest period, seconds."""
        return self.limits.period_s

    @property
    def width_span_s(self) -> tuple[float, float]:
        """Get the shortest and longest width, seconds."""
        return self.width_min_s, self.limits.top_s[1]

    @property
    def edge_span_s(self) -> tuple[float, float]:
        """Get the shortest and longest edge from 10 to 90 %, seconds."""
        return EDGE * self.limits.rise_s[0], EDGE * self.limits.rise_s[1]

    # ---- stored waveforms -----------------------------------------------------------------------------------
    def upload_waveform(self, name: str, points: NDArray[np.int16]) -> None:
        """Upload 8 points or more, -32767 to 32767, into the volatile memory under a name that is not in it.

        Raises
        ------
        InstrumentError
            The instrument refused them.
        """
        self._ready = False
        self.generator.tell(":FORM:BORD NORM")
        self.generator.upload(f":SOUR{self.number}:DATA:ARB:DAC {name},", points, ">i2")

    def take_waveform(self, name: str) -> None:
        """Take a waveform of the volatile memory for the shape ARB.

        Raises
        ------
        InstrumentError
            There is none of that name.
        """
        self.tell(f":SOUR{self.number}:FUNC:ARB {name}")

    def clear_waveforms(self) -> None:
        """Clear the volatile memory.

        Raises
        ------
        InstrumentError
            The instrument refused it.
        """
        self.tell(f":SOUR{self.number}:DATA:VOL:CLE")

    # ---- inside -----------------------------------------------------------------------------------------------
    def _edges(self, lead_s: float, trail_s: float) -> list[str]:
        if lead_s == trail_s:
            return [f":SOUR{self.number}:FUNC:PULS:TRAN:BOTH {lead_s:.10g}"]
        return [self._set("lead_s", lead_s), self._set("trail_s", trail_s)]

    def _before(self) -> list[str]:
        return [self._set("burst", "OFF")]

    def _waiting(self) -> list[str]:
        return [
            self._set("trigger_source", "BUS"),
            self._set("burst_mode", "TRIG"),
            self._set("burst", "ON"),
        ]

    def _burst(self, count: int) -> list[str]:
        return [self._set("burst_cycles", str(count))]

    def _put_waveform(self, points: NDArray[np.int16], duration_s: float) -> list[str]:
        if len(points) < _POINTS_MIN:  # the same lines, drawn with more points
            fine = np.arange(len(points) * _POINTS_MIN) / _POINTS_MIN
            points = np.round(np.interp(fine, np.arange(len(points) + 1), [*points, points[0]])).astype(
                np.int16
            )
        self.clear_waveforms()
        self.upload_waveform(_WAVEFORM, points)
        return [
            f":SOUR{self.number}:FUNC:ARB {_WAVEFORM}",
            self._set("arb_filter", "STEP"),
            self._set("arb_rate_hz", len(points) / duration_s),
            self._set("shape", "ARB"),
        ]


class Keysight33500(PulseGenerator):
    """A 33522B or 33622A; its channels are ``channels["1"]`` and ``channels["2"]``.

    Parameters
    ----------
    link : MessageLink
    **options
        As of :class:`~drivers.instruments.pulse_generator.PulseGenerator`.
    """

    models = ("33522", "33622")

    def __init__(self, link: MessageLink, **options: Any) -> None:
        super().__init__(link, **options)
        fast = self._identity.model.startswith("336")
        edge_s, width_s, period_s = (2.9e-9, 5e-9, 1 / 120e6) if fast else (8.4e-9, 16e-9, 1 / 30e6)
        limits = PulseLimits(
            rise_s=(edge_s / EDGE, 1e-6 / EDGE),
            top_s=(0.0, 1e6),
            fall_s=(edge_s / EDGE, 1e-6 / EDGE),
            period_s=(period_s, 1e6),
            open_v=(-10.0, 10.0),
            source_ohm=50.0,
            count_max=_COUNT_MAX,
        )
        self.channels: dict[str, Any] = {
            str(place): Channel33500(self, place, limits, amplitude_min_v=1e-3, width_min_s=width_s)
            for place in (1, 2)
        }
