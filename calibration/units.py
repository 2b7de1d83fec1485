"""Quantities with units at the edges: "25 uS" becomes 25e-6, and "25 us" is refused where siemens are due.

quantiphy does the reading, with its traps closed: "300 K" is not 300 000, "10 min" is not milli-inches, a
quantity without a unit or with another one is refused, and so is anything that is not finite. A bare number
is SI.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from functools import cache
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationInfo

from calibration.errors import UnitError

__all__ = [
    "SI_UNITS",
    "Ampere",
    "ElectronVolt",
    "Fraction",
    "Hertz",
    "Kelvin",
    "Ohm",
    "Second",
    "Siemens",
    "Volt",
    "Watt",
    "celsius_taken_for_kelvin",
    "parse",
    "render",
    "unit_of",
]

SI_UNITS = {
    "1": "a number without unit",
    "S": "a conductance, like '25 uS'",
    "A": "a current, like '90 uA'",
    "V": "a voltage, like '0.2 V'",
    "s": "a time, like '50 ns' or '1 d'",
    "K": "a temperature, like '300 K' or '27 C'",
    "Ohm": "a resistance, like '6 kOhm'",
    "Hz": "a frequency, like '10 kHz'",
    "W": "a power, like '1 mW'",
    "m": "a length, like '20 nm'",
    "eV": "an energy, like '0.3 eV'",
    "S/A": "a conductance per current, like '0.21 uS/uA'",
}
"""Units a field may have, each with the words that explain it."""

COLDEST_BENCH_K = 77.0
"""Below liquid nitrogen no card is measured; a bare number there is a temperature in degrees Celsius."""

_PREFIXES = {9: "G", 6: "M", 3: "k", 0: "", -3: "m", -6: "u", -9: "n", -12: "p", -15: "f"}
_NUMBER_AND_UNIT = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S.*)")
_DIGITS_WITH_COMMA = re.compile(r"\d,\d")


@cache
def _reader() -> Any:
    """Build the quantiphy class that reads our quantities."""
    from quantiphy import Quantity, UnitConversion

    class LabQuantity(Quantity):
        """quantiphy with the units it would take for a prefix spelled out; preferences stay in this class."""

    LabQuantity.set_prefs(known_units="K m Pa min T eV h d")
    UnitConversion("s", "h hr hour hours", 3600.0)
    UnitConversion("s", "d", 86400.0)
    UnitConversion("Ohm", "Ω Ω ohm ohms Ohms", 1.0)
    return LabQuantity


def _refuse(value: object, unit: str, field: str | None, why: str) -> UnitError:
    expected = SI_UNITS.get(unit, f"a quantity in {unit}")
    return UnitError(f"{value!r} {why}; expected {expected}", value=value, unit=unit, field=field)


def parse(value: object, unit: str, *, field: str | None = None) -> float:
    """Read a quantity as an SI number.

    Parameters
    ----------
    value : float, int or str
        "25 uS", "10 min", "27 C", "0.05 %" (for unit "1"), or a bare SI number, as number or text.
    unit : str
        SI unit of the field, one of `SI_UNITS`.
    field : str, optional
        Name of the field, for the message.

    Returns
    -------
    float
        The value in `unit`.

    Raises
    ------
    UnitError
        Another unit, no number, not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _refuse(value, unit, field, "is not a quantity")
    if isinstance(value, str):
        try:
            number = float(value.replace("_", "?"))
        except ValueError:
            number = _parse_text(value, unit, field)
    else:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
    if not math.isfinite(number):
        raise _refuse(value, unit, field, "is not a finite number")
    return number


def _parse_text(text: str, unit: str, field: str | None) -> float:
    if _DIGITS_WITH_COMMA.search(text):
        raise _refuse(text, unit, field, "has a comma in its number; write a decimal point")
    if unit == "1" or "/" in unit:
        match = _NUMBER_AND_UNIT.fullmatch(text.strip())
        if match is None:
            raise _refuse(text, unit, field, "is not a number with a unit")
        number, spelled = match.groups()
        if unit == "1":
            if spelled != "%":
                raise _refuse(text, unit, field, "has a unit")
            return float(Decimal(number) / 100)
        over, _, under = spelled.partition("/")
        above, _, below = unit.partition("/")
        if not under:
            raise _refuse(text, unit, field, "has another unit")
        return float(number) * (
            parse(f"1 {over}", above, field=field) / parse(f"1 {under}", below, field=field)
        )
    from quantiphy import QuantiPhyError

    try:
        return float(_reader()(text, scale=unit))
    except (QuantiPhyError, ValueError):
        raise _refuse(text, unit, field, "has another unit or none") from None


def celsius_taken_for_kelvin(kelvin: float) -> str | None:
    """Return what is wrong with a temperature that looks like degrees Celsius, None if it does not.

    Parameters
    ----------
    kelvin : float
        As it was read, K.
    """
    if kelvin >= COLDEST_BENCH_K:
        return None
    return (
        f"{kelvin:g} K is colder than liquid nitrogen and looks like degrees Celsius; "
        f"write '{kelvin:g} C' or '{kelvin + 273.15:g} K'"
    )


def unit_of(value: object) -> str | None:
    """Return the SI unit a text spells out, None where it has none or an unknown one.

    Examples
    --------
    >>> unit_of("10 min"), unit_of("25 uS"), unit_of("25")
    ('s', 'S', None)
    """
    if not isinstance(value, str):
        return None
    try:
        float(value)
    except ValueError:
        pass
    else:
        return None
    for unit in SI_UNITS:
        try:
            parse(value, unit)
        except UnitError:
            continue
        return unit
    return None


def render(value: float, unit: str) -> str:
    """Write an SI number for people: ``render(2.5e-5, "S")`` is "25 uS", and `parse` returns the same float.

    Parameters
    ----------
    value : float
        Finite, in `unit`.
    unit : str
        One of `SI_UNITS`.

    Returns
    -------
    str
        With as many digits as the float needs.
    """
    if unit == "1":
        return repr(float(value))
    exact = Decimal(repr(float(value)))
    power = 0
    if exact and "/" not in unit and unit != "K":
        largest = 0 if unit == "s" else max(_PREFIXES)
        power = min(max(exact.adjusted() // 3 * 3, min(_PREFIXES)), largest)
    mantissa = exact.scaleb(-power).normalize()
    text = f"{mantissa:f} {_PREFIXES[power]}{unit}" if abs(mantissa.adjusted()) < 7 else f"{value!r} {unit}"
    return text if parse(text, unit) == value else f"{value!r} {unit}"


def _validator(unit: str) -> BeforeValidator:
    def convert(value: object, info: ValidationInfo) -> float:
        return parse(value, unit, field=info.field_name)

    return BeforeValidator(convert)


Siemens = Annotated[float, _validator("S")]
"""pydantic field: a conductance in siemens, accepts "25 uS"."""
Ampere = Annotated[float, _validator("A")]
"""pydantic field: a current in ampere, accepts "90 uA"."""
Volt = Annotated[float, _validator("V")]
"""pydantic field: a voltage in volt, accepts "200 mV"."""
Second = Annotated[float, _validator("s")]
"""pydantic field: a time in seconds, accepts "50 ns", "10 min", "1 h", "1 d"."""
Kelvin = Annotated[float, _validator("K")]
"""pydantic field: a temperature in kelvin, accepts "300 K", "27 C"."""
Ohm = Annotated[float, _validator("Ohm")]
"""pydantic field: a resistance in ohm, accepts "6 kOhm"."""
Hertz = Annotated[float, _validator("Hz")]
"""pydantic field: a frequency in hertz, accepts "10 kHz"."""
Watt = Annotated[float, _validator("W")]
"""pydantic field: a power in watt, accepts "1 mW"."""
ElectronVolt = Annotated[float, _validator("eV")]
"""pydantic field: an energy in electronvolt, accepts "0.3 eV"."""
Fraction = Annotated[float, _validator("1")]
"""pydantic field: a number without unit, accepts "0.05 %"."""
