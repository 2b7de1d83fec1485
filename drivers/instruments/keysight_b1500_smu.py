"""A source-measure unit of a B1500A: what it forces, single readings, and bursts on the instrument."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from drivers.instruments.keysight_b1500_formats import LIMITED, spell
from drivers.instruments.keysight_b1500_modules import current_code
from drivers.instruments.keysight_b1500_stairs import OVERHEAD_S, STEPS, SmuStaircases, joined, out_of_range
from drivers.properties import Control, choice, number, switch
from drivers.roles import Burst

__all__ = ["SmuChannel"]

_SHORTEST_S, _SHORT_S = 100e-6, 2e-3
_SAMPLES = 100_001


def _fixed(code: str) -> float:
    """Return the range a code of RI means; 0 for auto."""
    return 0.0 if int(code) == 0 else float(f"1e{abs(int(code)) - 20}")


class SmuChannel(SmuStaircases):
    """One unit; has the role of :class:`drivers.roles.SourceMeter`.

    Parameters
    ----------
    instrument, slot, kind
        As of :class:`~drivers.instruments.keysight_b1500_stairs.SmuStaircases`.
    """

    output = Control(
        "*LRN? 0|CN{slot}",
        "{} {slot}",
        "Control whether the output switch is closed; it closes at 0 V with a compliance of 100 uA.",
        parse=lambda reply: reply == "1",
        spell=lambda on: "CN" if on else "CL",
    )
    measuring_range_a = number(
        "*LRN? 32|RI{slot}",
        "RI {slot},{}",
        "Control the fixed current range of triggered measurements; 0 is automatic.",
        unit="A",
        parse=_fixed,
        span="span_range_a",
        spell=lambda value: "0" if not value else str(-math.ceil(20 + math.log10(value) - 1e-9)),
    )
    converter = choice(
        "*LRN? 55|AAD{slot}",
        "AAD {slot},{}",
        "Control which converter measures.",
        {"high-speed": "0", "high-resolution": "1"},
    )
    measures = choice(
        "*LRN? 46|CMM{slot}",
        "CMM {slot},{}",
        "Control what a triggered measurement gives.",
        {"compliance-side": "0", "current": "1", "voltage": "2", "force-side": "3", "both": "4"},
    )
    filter = switch("*LRN? 30|FL{slot}", "FL {},{slot}", "Control the output filter.")
    series_resistor = switch(
        "*LRN? 53|SSR{slot}", "SSR {slot},{}", "Control the 1 Mohm resistor in series with the output."
    )

    # ---- what it forces -----------------------------------------------------------------------------------
    def hold(self, level_v: float, *, limit_a: float) -> None:
        """Put a voltage on the terminals and leave it there.

        Parameters
        ----------
        level_v : float
            Volt.
        limit_a : float
            Compliance, ampere.

        Raises
        ------
        SettingOutOfRange, InterlockOpen, InstrumentError
        """
        self._check([level_v], limit_a)
        self.tell(f"CN {self.slot};DV {self.slot},0,{spell(level_v)},{spell(limit_a)}")

    def hold_current(self, level_a: float, *, limit_v: float) -> None:
        """Put a current on the terminals, ampere, with a voltage compliance, and leave it there."""
        self._check([limit_v], level_a)
        self.tell(f"CN {self.slot};DI {self.slot},0,{spell(level_a)},{spell(limit_v)}")

    def zero(self) -> None:
        """Bring the terminals to 0 V; the output switch is closed then."""
        self.tell(f"CN {self.slot};DZ {self.slot}")

    def restore(self) -> None:
        """Put back on the terminals what :meth:`zero` took away."""
        self.tell(f"RZ {self.slot}")

    # ---- single readings ----------------------------------------------------------------------------------
    def measure(self, *, range_a: float | None = None) -> Burst:
        """Measure current and voltage once, of whatever is forced; returns arrays of one element.

        Parameters
        ----------
        range_a : float, optional
            Fixed range that holds this current; automatic when left out.
        """
        code = 0 if range_a is None else -current_code(self.kind, range_a)
        words = self.instrument.spot(f"TTIV {self.slot},{code},0")
        return self._gathered(words, voltage=words.value[words.kind == "V"])

    # ---- many readings ------------------------------------------------------------------------------------
    def burst(
        self, level_v: float, *, samples: int, aperture_s: float, limit_a: float, range_a: float | None = None
    ) -> Burst:
        """Measure `samples` times at one voltage, one after the other, on the instrument; 0 V before and after.

        With a fixed range it is a sampling measurement; samples the instrument left out are NaN. With automatic
        ranges, which a sampling would pay for with its first samples, it is a staircase of one level.

        Parameters
        ----------
        level_v : float
            Volt.
        samples : int
        aperture_s : float
            Integration time: 2 us to 20 ms in steps of 2 us (high speed), then up to 100 power line cycles.
        limit_a : float
            Compliance, ampere.
        range_a : float, optional
            Fixed measuring range that holds this current; automatic when left out.

        Raises
        ------
        SettingOutOfRange, InterlockOpen, InstrumentError, LinkError
        """
        self._check([level_v], limit_a)
        if not 1 <= samples <= _SAMPLES:
            raise out_of_range("samples", samples, 1, _SAMPLES)
        converter, integrates_s = self._converter(aperture_s)
        if range_a is None:
            parts = [
                self.flat(
                    level_v,
                    min(STEPS, samples - at),
                    aperture_s=aperture_s,
                    limit_a=limit_a,
                    after=at + STEPS >= samples,
                    restart=at == 0,
                )
                for at in range(0, samples, STEPS)
            ]
            return self._gathered(joined(parts), voltage=np.full(samples, float(level_v)))
        return self._sampled(level_v, samples, converter, integrates_s, limit_a, range_a)

    def _sampled(
        self,
        level_v: float,
        samples: int,
        converter: list[str],
        integrates_s: float,
        limit_a: float,
        range_a: float,
    ) -> Burst:
        interval_s = max(_SHORTEST_S, integrates_s + OVERHEAD_S)
        step_s = 1e-5 if interval_s < _SHORT_S else 1e-3
        interval_s = math.ceil(interval_s / step_s - 1e-6) * step_s
        slot, code = self.slot, current_code(self.kind, range_a)
        stamped = self.instrument.read_back == "8-byte"
        words = self.instrument.execute(
            [
                f"CN {slot}",
                *converter,
                f"CMM {slot},1",
                f"RI {slot},{-code}",
                f"MM 10,{slot}",
                "MSC 1,1",
                "ML 1",
                f"MV {slot},0,0,{spell(level_v)},{spell(limit_a)}",
                f"MT 0,{spell(interval_s)},{samples},0",
            ],
            words=(2 + stamped) * samples,
            seconds=samples * interval_s,
            fewer=2 + stamped,
        )
        index = words.value[words.kind == "X"].astype(int) - 1
        current = words.kind == "I"
        due_s: NDArray[np.float64] = np.arange(samples, dtype=np.float64) * interval_s
        nothing, level = np.full(samples, np.nan), np.full(samples, float(level_v))
        found = Burst(level, nothing, np.zeros(samples, dtype=np.bool_), due_s)
        found.current_a[index] = words.value[current]
        found.limited[index] = words.status[current] & LIMITED != 0
        if stamped and index.size:
            times = words.value[words.kind == "T"]
            found.t_s[:] += times[0] - found.t_s[index[0]]
            found.t_s[index] = times
            found.t_s[:] -= found.t_s[0]
        return found
