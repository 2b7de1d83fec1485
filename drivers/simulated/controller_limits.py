"""Limits of a simulated board: the JSON of ``SYST:LIM?`` and the numbers the board itself obeys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

__all__ = ["CURRENT_MAX_A", "READ_VOLTAGE_MAX_V", "VOLTAGE_MAX_V", "BoardLimits"]

CURRENT_MAX_A, VOLTAGE_MAX_V, READ_VOLTAGE_MAX_V = 5e-4, 3.3, 0.4
"""Of the reference board (controller-protocol §7.3)."""

_RANGES_A, _ADC_BITS, _ADC_ZERO = (1e-7, 1e-6, 1e-5, 1e-4), 8, 8

_TEXT = (
    '{{"proto":"1.1","banks":{banks},"rows":{rows},"cols":{cols},"clock_hz":200000000,"block_max":{block_max},'
    '"text_max":4096,"links":{links},'
    '"sel_max":64,"puls_max":32,"seg_max":256,"tabl_max":16,"err_queue":30,"par_prog":32,"par_read":64,'
    '"t_rise":[5e-9,1e-3],"t_top":[5e-9,1e-2],"t_fall":[5e-9,1e-2],"t_off_min":4e-8,"period_max":1.0,'
    '"i_max":{i_max},"v_max":{v_max},"rails":{{"VDD":[0.0,3.6],"VWL":[0.0,3.6]}},"rails_def":{{"VDD":3.3,"VWL":2.5}},'
    '"v_read":[0.02,{v_read}],'
    '"read_aver":[1,65536],"read_aper":[1e-7,1e-2],"read_ovh":1e-6,"read_rang":[{read_rang}],'
    '"adc_bits":{adc_bits},"adc_zero":{adc_zero},'
    '"form_prog":["U8","U16","F32"],"form_read":["COND32","CURR32","ADC16","CODE8"],'
    '"puls_unit":["A","V"],"puls_seg":1,"cycl":1,"prog_tst":1,"tst_err":5e-9,"nv":["MASK","CYCL"]}}'
)
_BLOCK_MAX = 16777216


@dataclass(frozen=True)
class BoardLimits:
    """Limits of a board: the reference board's, but for the chip's size, three limits and the converter.

    Attributes
    ----------
    text : str
        One line of JSON, as ``SYST:LIM?`` sends it (controller-protocol §7.3).
    values : dict
        The same, parsed.
    """

    text: str
    values: dict[str, Any]

    @classmethod
    def of(
        cls,
        banks: int,
        rows: int,
        cols: int,
        *,
        links: int = 4,
        current_max_a: float = CURRENT_MAX_A,
        voltage_max_v: float = VOLTAGE_MAX_V,
        read_voltage_max_v: float = READ_VOLTAGE_MAX_V,
        ranges_a: Sequence[float] = _RANGES_A,
        adc_bits: int = _ADC_BITS,
        adc_zero: int = _ADC_ZERO,
    ) -> BoardLimits:
        """Limits of a board for a chip of this geometry; the largest block never hides a bit map of all cells.

        Parameters
        ----------
        banks, rows, cols : int
            Size of the chip.
        links : int
            Connections served at once.
        current_max_a, voltage_max_v : float
            Largest amplitudes.
        read_voltage_max_v : float
            Largest read voltage.
        ranges_a : sequence of float
            Full scales of the converter, ascending.
        adc_bits, adc_zero : int
            Its bits, and its code for no current.
        """
        text = _TEXT.format(
            banks=banks,
            rows=rows,
            cols=cols,
            links=links,
            block_max=max(_BLOCK_MAX, -(-banks * rows * cols // 8)),
            i_max=_spelled(current_max_a),
            v_max=_spelled(voltage_max_v),
            v_read=_spelled(read_voltage_max_v),
            read_rang=",".join(_spelled(range_a) for range_a in ranges_a),
            adc_bits=adc_bits,
            adc_zero=adc_zero,
        )
        return cls(text, json.loads(text))

    def pair(self, key: str) -> tuple[float, float]:
        """Return a range."""
        low, high = self.values[key]
        return float(low), float(high)

    def rail(self, name: str) -> tuple[float, float]:
        """Range of a rail, volts."""
        low, high = self.values["rails"][name]
        return float(low), float(high)

    @property
    def tick_ns(self) -> int:
        """One period of the board's clock, nanoseconds."""
        return int(1_000_000_000 // self.values["clock_hz"])


def _spelled(value: float) -> str:
    """Spell a number as the manual does, so that it is read back exactly: 3.3, 5e-4."""
    return repr(float(value)) if value >= 0.01 else f"{Decimal(repr(float(value))):e}"
