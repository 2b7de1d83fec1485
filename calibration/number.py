"""A number a card may hold: value, unit, interval, and where it comes from.

Three shapes share the same provenance: `Number` (one value), `Series` (an ascending list, such as the ranges
of a converter) and `Table` (values over the normalised conductance g). All hold SI values; texts like "25 uS"
are read on the way in and written on the way out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from calibration.errors import UnitError
from calibration.units import SI_UNITS, parse, render, unit_of

__all__ = ["Number", "Series", "Sourced", "Status", "Table"]

Status = Literal["published", "reported", "derived", "default", "fitted"]
"""published: read in the named paper or its authors' code; reported: read in a summary of the paper; derived:
follows by arithmetic from numbers of this card; default: chosen, not measured; fitted: from own data."""

_UNIT_MISSING = "no unit; write it with the number ('25 uS') or give 'unit' (\"1\" for a number without unit)"


def _unit(value: object) -> object:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if text not in SI_UNITS:
        raise ValueError(f"{value!r} is not an SI unit of a card; use one of {', '.join(SI_UNITS)}")
    return text


def _quantity(value: object, info: ValidationInfo) -> float:
    unit = info.data.get("unit")
    if unit is None:  # the unit itself was refused; that is the problem to report
        return 0.0
    return parse(value, str(unit))


Unit = Annotated[str, BeforeValidator(_unit)]
Quantity = Annotated[float, BeforeValidator(_quantity)]
Interval = tuple[Quantity, Quantity]
Level = Annotated[float, Field(gt=0.0, lt=1.0)]


class Sourced(BaseModel):
    """What every number says of itself.

    Attributes
    ----------
    unit : str
        SI unit of the values, "1" where they have none. May be left out where the text of the value spells
        it.
    level : float, optional
        Coverage of the interval, such as 0.95.
    status : str
        One of `Status`.
    source : str
        Paper, code or campaign the number was taken from; for a default, why it was chosen.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    unit: Unit
    level: Level | None = None
    status: Status
    source: str

    @field_validator("source")
    @classmethod
    def _source_says_something(cls, source: str) -> str:
        if not source.strip():
            raise ValueError("say where the number comes from")
        return source

    @model_validator(mode="before")
    @classmethod
    def _unit_from_text(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "unit" in data:
            return data
        values = data.get("values", data.get("value"))
        first = values[0] if isinstance(values, list | tuple) and values else values
        unit = unit_of(first)
        if unit is not None:
            return {**data, "unit": unit}
        if isinstance(first, str) and not _is_bare(first):
            raise UnitError(
                f"{first!r} has no unit this card knows; use one of {', '.join(SI_UNITS)}", value=first
            )
        if first is not None:
            raise UnitError(_UNIT_MISSING, value=first)
        return data

    def numbers(self) -> Iterator[tuple[str, Number]]:
        """Iterate over the single numbers in here, each with its name relative to this one."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a card file, with the units written out."""
        raise NotImplementedError

    def _provenance(self) -> dict[str, Any]:
        level = {} if self.level is None else {"level": self.level}
        return {**level, "status": self.status, "source": self.source}

    def _texts(self, values: Sequence[float]) -> list[Any]:
        return [float(v) if self.unit == "1" else render(v, self.unit) for v in values]

    def _unit_if_unwritten(self) -> dict[str, str]:
        return {"unit": self.unit} if self.unit == "1" else {}


def _is_bare(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_interval(interval: tuple[float, float] | None, value: float) -> None:
    if interval is None:
        return
    lower, upper = interval
    if lower > upper:
        raise ValueError(
            f"inverted interval: lower end {lower!r} is above the upper end {upper!r}; swap them"
        )
    if not lower <= value <= upper:
        raise ValueError(f"the value {value!r} lies outside its interval {lower!r} .. {upper!r}")


def _fitted_needs(status: str, intervals: object) -> None:
    if status == "fitted" and intervals is None:
        raise ValueError("a fitted number needs an interval; state how well it is known")


class Number(Sourced):
    """One value with unit, interval and provenance.

    Attributes
    ----------
    value : float
        In `unit`, finite.
    interval : (float, float), optional
        Lower and upper end in `unit`; the value lies inside. Required where the status is "fitted".

    Raises
    ------
    pydantic.ValidationError
        Missing or unknown unit, NaN, inverted interval, no source.

    Examples
    --------
    >>> Number(value="25 uS", status="default", source="full scale of the weight map").value
    2.5e-05
    """

    value: Quantity
    interval: Interval | None = Field(default=None, validate_default=True)

    @field_validator("interval")
    @classmethod
    def _ordered(
        cls, interval: tuple[float, float] | None, info: ValidationInfo
    ) -> tuple[float, float] | None:
        if "value" in info.data and "unit" in info.data:
            _check_interval(interval, info.data["value"])
        _fitted_needs(info.data.get("status", ""), interval)
        return interval

    def numbers(self) -> Iterator[tuple[str, Number]]:
        """Iterate over this one number, under the empty name."""
        yield "", self

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a card file, with the unit written out."""
        data: dict[str, Any] = {"value": self._texts([self.value])[0], **self._unit_if_unwritten()}
        if self.interval is not None:
            data["interval"] = self._texts(self.interval)
        return {**data, **self._provenance()}

    def __str__(self) -> str:
        return render(self.value, self.unit) if self.unit != "1" else f"{self.value!r}"


class Series(Sourced):
    """Ascending list of values of one unit, such as the ranges of a converter.

    Attributes
    ----------
    values : tuple of float
        In `unit`, strictly ascending.
    """

    values: Annotated[tuple[Quantity, ...], Field(min_length=1)]

    @field_validator("values")
    @classmethod
    def _ascending(cls, values: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        if "unit" in info.data:
            _refuse_unordered(values)
        return values

    def numbers(self) -> Iterator[tuple[str, Number]]:
        """Iterate over the values, each under its position "0", "1"..."""
        for i, value in enumerate(self.values):
            yield str(i), Number(unit=self.unit, value=value, status=self.status, source=self.source)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a card file, with the units written out."""
        return {"values": self._texts(self.values), **self._unit_if_unwritten(), **self._provenance()}


class Table(Sourced):
    """Values over the normalised conductance g, joined by straight lines and held constant outside.

    Attributes
    ----------
    g : tuple of float
        Normalised conductances G/G_max, strictly ascending, none negative.
    values : tuple of float
        One per g, in `unit`.
    intervals : tuple of (float, float), optional
        One per g. Required where the status is "fitted".
    """

    g: Annotated[tuple[Annotated[float, BeforeValidator(lambda v: parse(v, "1"))], ...], Field(min_length=2)]
    values: tuple[Quantity, ...]
    intervals: tuple[Interval, ...] | None = Field(default=None, validate_default=True)

    @field_validator("g")
    @classmethod
    def _ascending(cls, g: tuple[float, ...]) -> tuple[float, ...]:
        if any(math.copysign(1.0, point) < 0.0 for point in g):
            raise ValueError("a normalised conductance below zero")
        _refuse_unordered(g)
        return g

    @field_validator("values")
    @classmethod
    def _as_many_as_g(cls, values: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        expected = len(info.data.get("g", values))
        if len(values) != expected:
            raise ValueError(f"{len(values)} values for {expected} conductances; give one per g")
        return values

    @field_validator("intervals")
    @classmethod
    def _ordered(
        cls, intervals: tuple[tuple[float, float], ...] | None, info: ValidationInfo
    ) -> tuple[tuple[float, float], ...] | None:
        values = info.data.get("values")
        _fitted_needs(info.data.get("status", ""), intervals)
        if intervals is not None and values is not None and "unit" in info.data:
            if len(intervals) != len(values):
                raise ValueError(f"{len(intervals)} intervals for {len(values)} values; give one per value")
            for interval, value in zip(intervals, values, strict=True):
                _check_interval(interval, value)
        return intervals

    def numbers(self) -> Iterator[tuple[str, Number]]:
        """Iterate over the values, each under its position "0", "1"..."""
        for i, value in enumerate(self.values):
            interval = None if self.intervals is None else self.intervals[i]
            number = Number(
                unit=self.unit,
                value=value,
                interval=interval,
                level=self.level,
                status=self.status,
                source=self.source,
            )
            yield str(i), number

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a card file, with the units written out."""
        data: dict[str, Any] = {
            "g": list(self.g),
            "values": self._texts(self.values),
            **self._unit_if_unwritten(),
        }
        if self.intervals is not None:
            data["intervals"] = [self._texts(interval) for interval in self.intervals]
        return {**data, **self._provenance()}


def _refuse_unordered(points: tuple[float, ...]) -> None:
    for before, after in pairwise(points):
        if not before < after:
            raise ValueError(f"not ascending: {after!r} follows {before!r}; sort the points, each only once")
