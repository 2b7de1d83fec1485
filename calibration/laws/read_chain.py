"""The read path of the board: ranges, converter and read voltage (device-physics §4.5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from calibration.laws.law import Law, Quantity

__all__ = ["ReadChain"]


@dataclass(frozen=True)
class ReadChain(Law):
    """An integrating converter of `adc_bits` bits behind switched current ranges.

    Attributes
    ----------
    adc_bits : int
        Bits of the converter.
    adc_zero : int
        Code of zero current; noise around zero is rectified without it.
    ranges_a : tuple of float
        Full scales, A, ascending.
    noise_fraction_of_range : float
        Standard deviation of one conversion over the range.
    read_voltage_v, read_voltage_max_v : float
        Usual and highest voltage across a cell, V.
    """

    form: ClassVar[str] = "switched-ranges"

    adc_bits: Annotated[int, Quantity("1", low=1.0, high=24.0, whole=True)]
    adc_zero: Annotated[int, Quantity("1", low=0.0, whole=True)]
    ranges_a: Annotated[tuple[float, ...], Quantity("A", above=0.0)]
    noise_fraction_of_range: Annotated[float, Quantity("1", low=0.0)]
    read_voltage_v: Annotated[float, Quantity("V", above=0.0)]
    read_voltage_max_v: Annotated[float, Quantity("V", above=0.0)]

    def step_a(self, range_a: float) -> float:
        """Return the current of one code of the converter, A, in a range of full scale `range_a`."""
        return float(range_a / 2**self.adc_bits)

    def conflicts(self) -> Iterator[tuple[str, str]]:  # noqa: D102 - said by the base class
        if self.adc_zero >= 2**self.adc_bits - 1:
            yield "adc_zero", f"{self.adc_zero} leaves no codes of {2**self.adc_bits}"
        if self.read_voltage_v > self.read_voltage_max_v:
            yield "read_voltage_v", f"{self.read_voltage_v!r} V is above read_voltage_max_v"
