"""Driver of the Keysight (Agilent) 81160A and 81150A pulse function arbitrary generators.

Sources: instruments §2.3; limits of the 81150A as public drivers state them. Two points no primary source settles are
kept in one place each: the headers of separate edges (:meth:`Channel81160._edges`) and the shortest period, which is
the manual's 3.03 ns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.instruments.pulse_generator import EDGE, PulseChannel, PulseGenerator
from drivers.message_link import MessageLink
from drivers.properties import choice, number, switch, whole
from drivers.roles import PulseLimits

__all__ = ["Channel81160", "Keysight81160"]

_COUNT_MAX = 2_147_483_647


class Channel81160(PulseChannel):
    """One channel of an 81160A: a pulse source with two independent edges.

    Levels of properties are those the configured load sees (:attr:`load_ohm`); :meth:`fire` speaks of the open output.
    """

    dac_max = 8191

    shape = choice(
        ":FUNC{n}?",
        ":FUNC{n} {}",
        "Control the shape of the waveform.",
        {word: word for word in ("SIN", "SQU", "RAMP", "PULS", "NOIS", "DC", "USER")},
    )
    frequency_hz = number(":FREQ{n}?", ":FREQ{n} {}", "Control the frequency.", unit="Hz", span=(1e-6, 500e6))
    period_s = number(
        ":PULS:PER{n}?", ":PULS:PER{n} {}", "Control the period of pulses.", unit="s", span="period_span_s"
    )
    width_s = number(
        ":PULS:WIDT{n}?",
        ":PULS:WIDT{n} {}",
        "Control the width of pulses at half height.",
        unit="s",
        span="width_span_s",
    )
    duty_percent = number(
        ":PULS:DCYC{n}?",
        ":PULS:DCYC{n} {}",
        "Control the width of pulses as a part of the period.",
        unit="%",
        span=(0.15, 99.99),
    )
    delay_s = number(
        ":PULS:DEL{n}?", ":PULS:DEL{n} {}", "Control the delay before the pulse.", unit="s", span=(0.0, 1e6)
    )
    hold = choice(
        ":FUNC{n}:PULS:HOLD?",
        ":FUNC{n}:PULS:HOLD {}",
        "Control what is kept when the period changes: width, duty cycle or delay of the trailing edge.",
        {"WIDT": "WIDT", "DCYC": "DCYC", "TDEL": "TDEL"},
    )
    lead_s = number(
        ":PULS:TRAN{n}?",
        ":PULS:TRAN{n} {}",
        "Control the leading edge, 10 to 90 %.",
        unit="s",
        span="edge_span_s",
    )
    trail_s = number(
        ":PULS:TRAN{n}:TRA?",
        ":PULS:TRAN{n}:TRA {}",
        "Control the trailing edge, 10 to 90 %.",
        unit="s",
        span="edge_span_s",
    )
    edges_coupled = switch(
        ":PULS:TRAN{n}:TRA:AUTO?",
        ":PULS:TRAN{n}:TRA:AUTO {}",
        "Control whether the trailing edge follows the leading one.",
    )
    unit = choice(
        ":VOLT{n}:UNIT?",
        ":VOLT{n}:UNIT {}",
        "Control the unit of the amplitude.",
        {"VPP": "VPP", "VRMS": "VRMS", "DBM": "DBM"},
    )
    amplitude_v = number(":VOLT{n}?", ":VOLT{n} {}", "Control the amplitude from peak to peak.", unit="V")
    offset_v = number(":VOLT{n}:OFFS?", ":VOLT{n}:OFFS {}", "Control the middle of both levels.", unit="V")
    high_v = number(":VOLT{n}:HIGH?", ":VOLT{n}:HIGH {}", "Control the upper level.", unit="V")
    low_v = number(":VOLT{n}:LOW?", ":VOLT{n}:LOW {}", "Control the lower level.", unit="V")
    limited = switch(":VOLT{n}:LIM:STAT?", ":VOLT{n}:LIM:STAT {}", "Control whether the voltage limits hold.")
    limit_high_v = number(
        ":VOLT{n}:LIM:HIGH?",
        ":VOLT{n}:LIM:HIGH {}",
        "Control the highest level allowed.",
        unit="V",
        span=(-9.99, 10.0),
    )
    limit_low_v = number(
        ":VOLT{n}:LIM:LOW?",
        ":VOLT{n}:LIM:LOW {}",
        "Control the lowest level allowed.",
        unit="V",
        span=(-10.0, 9.99),
    )
    output = switch(
        ":OUTP{n}?", ":OUTP{n} {}", "Control whether the output is connected.", on="ON", off="OFF"
    )
    complement = switch(
        ":OUTP{n}:COMP?",
        ":OUTP{n}:COMP {}",
        "Control whether the connector of the complement is connected.",
        on="ON",
        off="OFF",
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
        "Control the load the levels are meant for.",
        unit="Ohm",
        span=(0.3, 1e6),
    )
    arm_source = choice(
        ":ARM:SOUR{n}?",
        ":ARM:SOUR{n} {}",
        "Control what starts a burst: nothing (it runs free), the internal timer, an input, or the bus.",
        {"IMM": "IMM", "INT2": "INT2", "EXT": "EXT", "MAN": "MAN"},
    )
    trigger_count = whole(
        ":TRIG{n}:COUN?", ":TRIG{n}:COUN {}", "Control the cycles per trigger.", span=(1, _COUNT_MAX)
    )
    burst = switch(
        ":BURS{n}:STAT?", ":BURS{n}:STAT {}", "Control whether bursts are given.", on="ON", off="OFF"
    )
    burst_mode = choice(
        ":BURS{n}:MODE?",
        ":BURS{n}:MODE {}",
        "Control whether a burst has a number of cycles or lasts as long as its gate.",
        {"TRIG": "TRIG", "GAT": "GAT"},
    )
    burst_cycles = whole(
        ":BURS{n}:NCYC?", ":BURS{n}:NCYC {}", "Control the cycles of a burst.", span=(2, _COUNT_MAX)
    )
    burst_period_s = number(
        ":BURS{n}:INT:PER?",
        ":BURS{n}:INT:PER {}",
        "Control the time from burst to burst.",
        unit="s",
        span=(3.03e-9, 1e6),
    )
    coupled = switch(
        ":TRAC:CHAN{n}?", ":TRAC:CHAN{n} {}", "Control whether the other channel takes over all settings."
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
    def upload_waveform(self, points: NDArray[np.int16]) -> None:
        """Upload points from -8191 to 8191 into the volatile memory.

        Raises
        ------
        InstrumentError
            The instrument refused them.
        """
        self._ready = False
        self.generator.tell(":FORM:BORD NORM")
        self.generator.upload(f":DATA{self.number}:DAC VOLATILE,", points, ">i2")

    def store_waveform(self, name: str) -> None:
        """Store the volatile waveform under a name of up to 12 letters, digits and underscores.

        Raises
        ------
        InstrumentError
            The instrument refused it.
        """
        self.tell(f":DATA{self.number}:COPY {name},VOLATILE")

    def clear_waveform(self, name: str) -> None:
        """Clear a stored waveform from memory.

        Raises
        ------
        InstrumentError
            There is none of that name, or it is in use.
        """
        self.tell(f":DATA{self.number}:DEL {name}")

    def take_waveform(self, name: str) -> None:
        """Take a stored waveform for the shape USER.

        Raises
        ------
        InstrumentError
            There is none of that name.
        """
        self.tell(f":FUNC{self.number}:USER {name}")

    def list_waveforms(self) -> tuple[str, ...]:
        """Give the names of the waveforms that were stored."""
        reply = self.ask(f":DATA{self.number}:NVOL:CAT?")
        return tuple(name for name in reply.replace('"', "").split(",") if name)

    def free_slots(self) -> int:
        """Ask how many more waveforms can be stored."""
        return int(self.ask(f":DATA{self.number}:NVOL:FREE?"))

    # ---- inside -----------------------------------------------------------------------------------------------
    def _edges(self, lead_s: float, trail_s: float) -> list[str]:
        if lead_s == trail_s:
            return [f":FUNC{self.number}:PULS:TRAN {lead_s:.10g}"]
        return [self._set("lead_s", lead_s), self._set("trail_s", trail_s)]

    def _before(self) -> list[str]:
        return [self._set("delay_s", 0.0)]

    def _waiting(self) -> list[str]:
        return [self._set("burst_mode", "TRIG"), self._set("arm_source", "MAN")]

    def _burst(self, count: int) -> list[str]:
        return [self._set("trigger_count", str(count))]

    def _put_waveform(self, points: NDArray[np.int16], duration_s: float) -> list[str]:
        self.upload_waveform(points)
        return [
            f":FUNC{self.number}:USER VOLATILE",
            self._set("shape", "USER"),
            self._set("frequency_hz", 1 / duration_s),
        ]


class Keysight81160(PulseGenerator):
    """An 81160A or 81150A; its channels are ``channels["1"]`` and ``channels["2"]``.

    Parameters
    ----------
    link : MessageLink
    **options
        As of :class:`~drivers.instruments.pulse_generator.PulseGenerator`.
    """

    models = ("81160A", "81150A")

    def __init__(self, link: MessageLink, **options: Any) -> None:
        super().__init__(link, **options)
        fast = self._identity.model.startswith("81160")
        edge_s, width_s, period_s = (1e-9, 1.5e-9, 3.03e-9) if fast else (2.5e-9, 4.1e-9, 8.33e-9)
        limits = PulseLimits(
            rise_s=(edge_s / EDGE, 1000.0 / EDGE),
            top_s=(0.0, 1e6 if fast else 950_000.0),
            fall_s=(edge_s / EDGE, 1000.0 / EDGE),
            period_s=(period_s, 1e6),
            open_v=(-10.0, 10.0),
            source_ohm=50.0,
            count_max=_COUNT_MAX,
        )
        self.channels: dict[str, Any] = {}
        for place in (1, 2):
            self.channels[str(place)] = Channel81160(
                self, place, limits, amplitude_min_v=0.05, width_min_s=width_s
            )

    def _off(self, channel: PulseChannel) -> list[str]:
        return [*super()._off(channel), channel._set("complement", "OFF")]
