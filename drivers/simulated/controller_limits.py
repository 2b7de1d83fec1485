"""Limits of the simulated reference board: the JSON of ``SYST:LIM?`` and the numbers the board itself obeys."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

__all__ = ["BoardLimits"]

_TEXT = (
    '{{"proto":"1.1","banks":{banks},"rows":{rows},"cols":{cols},"clock_hz":200000000,"block_max":{block_max},'
    '"text_max":4096,"links":{links},'
    '"sel_max":64,"puls_max":32,"seg_max":256,"tabl_max":16,"err_queue":30,"par_prog":32,"par_read":64,'
    '"t_rise":[5e-9,1e-3],"t_top":[5e-9,1e-2],"t_fall":[5e-9,1e-2],"t_off_min":4e-8,"period_max":1.0,'
    '"i_max":5e-4,"v_max":3.3,"rails":{{"VDD":[0.0,3.6],"VWL":[0.0,3.6]}},"rails_def":{{"VDD":3.3,"VWL":2.5}},'
    '"v_read":[0.02,0.4],'
    '"read_aver":[1,65536],"read_aper":[1e-7,1e-2],"read_ovh":1e-6,"read_rang":[1e-7,1e-6,1e-5,1e-4],'
    '"adc_bits":8,"adc_zero":8,'
    '"form_prog":["U8","U16","F32"],"form_read":["COND32","CURR32","ADC16","CODE8"],'
    '"puls_unit":["A","V"],"puls_seg":1,"cycl":1,"prog_tst":1,"tst_err":5e-9,"nv":["MASK","CYCL"]}}'
)
_BLOCK_MAX = 16777216


@dataclass(frozen=True)
class BoardLimits:
    """Limits of a board with the reference board's electronics around a chip of any size.

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
    def of(cls, banks: int, rows: int, cols: int, *, links: int = 4) -> BoardLimits:
        """Limits of a board for a chip of this geometry; the largest block never hides a bit map of all cells."""
        block_max = max(_BLOCK_MAX, -(-banks * rows * cols // 8))
        text = _TEXT.format(banks=banks, rows=rows, cols=cols, links=links, block_max=block_max)
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
