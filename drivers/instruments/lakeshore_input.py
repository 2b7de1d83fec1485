"""An input of a Lake Shore 335 / 336 as an object, and what inputs and outputs have in common."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from drivers.instruments.lakeshore_values import Checked, Filter, Reading, SensorType
from drivers.instruments.temperature_errors import SensorFault
from drivers.properties import Part, Range

if TYPE_CHECKING:
    from drivers.instruments.lakeshore_336 import LakeShore336

__all__ = ["Connector", "Input", "checked_number"]

T = TypeVar("T")
_LONGEST_NAME = 15


def checked_number(
    query: str, command: str, doc: str, form: str, *, unit: str = "", span: Range = None
) -> Checked[float]:
    """Declare a command whose value is a float, sent in a format and read back."""
    return Checked(
        query, command, doc, parse=float, spell=lambda value: format(value, form), unit=unit, span=span
    )


def _name(value: str) -> str:
    if (
        len(value) > _LONGEST_NAME
        or not value.isprintable()
        or not value.isascii()
        or set(value) & set('";,')
    ):
        raise ValueError(f"up to {_LONGEST_NAME} printable characters without quotes, commas and semicolons")
    return f'"{value}"'


class Connector(Part):
    """Something of the instrument that has commands of its own."""

    def __init__(self, instrument: LakeShore336, key: str) -> None:
        self._instrument, self.key = instrument, key
        self.names = {"key": key}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key} of {self._instrument!r}>"

    def ask(self, query: str) -> str:
        """Ask something; as of :meth:`LakeShore336.ask`."""
        return self._instrument.ask(query)

    def tell(self, command: str) -> None:
        """Send a command; as of :meth:`LakeShore336.tell`."""
        self._instrument.tell(command)

    def _asked(self, query: str, parse: Callable[[str], T]) -> T:
        return self._instrument.parsed(query, self.ask(query), parse)

    def together(self) -> AbstractContextManager[None]:
        """Send several commands in one message and look at the errors once, at the end."""
        return self._instrument.together()

    def expect(self, query: str, parse: Callable[[str], Any], value: Any, what: str) -> None:
        """Check that a setting is what it should be, in the same message as the commands before."""
        self._instrument.expect(query, parse, value, what)


class Input(Connector):
    """One sensor input; has the role :class:`drivers.roles.Thermometer`."""

    name: Checked[str] = Checked(
        "INNAME? {key}",
        "INNAME {key},{}",
        "Control the name on the display.",
        parse=lambda reply: reply.strip().strip('"').strip(),
        spell=_name,
    )
    sensor_type: Checked[SensorType] = Checked(
        "INTYPE? {key}",
        "INTYPE {key},{}",
        "Control what it measures with, and the units of setpoints.",
        parse=SensorType.parse,
        spell=SensorType.spell,
    )
    curve: Checked[int] = Checked(
        "INCRV? {key}",
        "INCRV {key},{}",
        "Control the curve that turns sensor units into kelvin: 0 none, 1..20 standard, 21..59 the user's own.",
        parse=int,
        spell=lambda value: str(int(value)),
        span=(0, 59),
    )
    limit_k = checked_number(
        "TLIMIT? {key}",
        "TLIMIT {key},{}",
        "Control the temperature above which all heaters go off, whole kelvin; 0: none.",
        ".0f",
        unit="K",
        span=(0.0, 9999.0),
    )
    filter: Checked[Filter] = Checked(
        "FILTER? {key}", "FILTER {key},{}", "Control the averaging.", parse=Filter.parse, spell=Filter.spell
    )

    def reading(self) -> Reading:
        """Take temperature, sensor value and what the instrument says about them, in one message.

        Returns
        -------
        Reading
            With NaN for what is not valid, and the reasons.
        """
        return self._instrument.readings(self.key)[self.key]

    def temperature_k(self) -> float:
        """Return the temperature, kelvin.

        Raises
        ------
        SensorFault
            There is none: sensor open, shorted or outside its curve.
        """
        return self.valid(self.reading())

    def valid(self, reading: Reading) -> float:
        """Return the temperature of a reading of this input, kelvin; raises SensorFault where it has none."""
        if reading.status:
            raise SensorFault(
                f"{self!r} has no temperature: {', '.join(reading.status)}; look at the sensor's wires, its type and "
                "its curve",
                input=self.key,
                status=reading.status,
            )
        return reading.kelvin
