"""Which laws a card may hold, in which forms, and how a section of a card becomes a law."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from typing import Any, get_args, get_type_hints

from pydantic import TypeAdapter, ValidationError

from calibration.errors import Problem
from calibration.laws.accumulation import LinearMemoryAccumulation, SaturatingJumpAccumulation
from calibration.laws.array import Columns, Lines, SpatialCorrelation
from calibration.laws.crystallisation import ReadDisturb, Retention
from calibration.laws.current_voltage import CubicCurrentVoltage, HoppingCurrentVoltage
from calibration.laws.drift import ClippedLogarithmDrift, LogarithmThenQuadraticDrift, TableDrift
from calibration.laws.endurance import Damage, Endurance
from calibration.laws.faults import InitialFaults
from calibration.laws.law import Choice, Curve, FromCard, Law, Quantity
from calibration.laws.programming_curve import ProgrammingCurve
from calibration.laws.programming_error import (
    CubicProgrammingError,
    PolynomialProgrammingError,
    TableProgrammingError,
)
from calibration.laws.read_chain import ReadChain
from calibration.laws.read_noise import LogarithmThenCubicReadNoise, PowerReadNoise, TableReadNoise
from calibration.laws.telegraph_noise import TelegraphNoise
from calibration.laws.temperature import Temperature
from calibration.laws.threshold_switching import ThresholdSwitching
from calibration.number import Number, Series, Table
from calibration.section import Parameter

__all__ = ["LAW_FORMS", "build_law", "conflict_problems", "dotted", "explain", "parse_parameters"]

_FORMS: dict[str, tuple[type[Law], ...]] = {
    "programming_error": (PolynomialProgrammingError, CubicProgrammingError, TableProgrammingError),
    "drift": (ClippedLogarithmDrift, LogarithmThenQuadraticDrift, TableDrift),
    "read_noise": (PowerReadNoise, LogarithmThenCubicReadNoise, TableReadNoise),
    "accumulation": (LinearMemoryAccumulation, SaturatingJumpAccumulation),
    "programming_curve": (ProgrammingCurve,),
    "read_chain": (ReadChain,),
    "temperature": (Temperature,),
    "telegraph_noise": (TelegraphNoise,),
    "current_voltage": (CubicCurrentVoltage, HoppingCurrentVoltage),
    "threshold_switching": (ThresholdSwitching,),
    "retention": (Retention,),
    "read_disturb": (ReadDisturb,),
    "endurance": (Endurance,),
    "damage": (Damage,),
    "faults": (InitialFaults,),
    "spatial_correlation": (SpatialCorrelation,),
    "lines": (Lines,),
    "columns": (Columns,),
}

LAW_FORMS: Mapping[str, Mapping[str, type[Law]]] = {
    law: {form.form: form for form in forms} for law, forms in _FORMS.items()
}
"""Law name -> form name -> class."""


def _fields(law: type[Law]) -> dict[str, tuple[Any, Any]]:
    """Field name -> (type, what it is annotated with)."""
    hints = get_type_hints(law, include_extras=True)
    return {
        field.name: (get_args(hints[field.name])[0], get_args(hints[field.name])[1]) for field in fields(law)
    }


def _shape(kind: Any) -> type[Number | Series | Table]:
    if kind is Curve:
        return Table
    return Number if kind in (float, int) else Series


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def dotted(*parts: str | int) -> str:
    """Join the parts of a field's name."""
    return ".".join(str(part) for part in parts if part != "")


def explain(error: ValidationError, *where: str | int) -> Iterator[Problem]:
    """Turn what pydantic reports into problems with dotted names."""
    for detail in error.errors(include_url=False):
        kind, message = detail["type"], detail["msg"]
        if kind == "missing":
            message = "is missing"
        elif kind == "extra_forbidden":
            message = "is not a field of a card; remove it or correct its spelling"
        else:
            message = message.removeprefix("Value error, ")
        yield Problem(dotted(*where, *detail["loc"]), message)


def parse_parameters(
    law: type[Law], raw: Mapping[str, Any], where: str
) -> tuple[dict[str, Parameter], list[Problem]]:
    """Read the parameters of one law.

    Parameters
    ----------
    law : type of Law
        The form.
    raw : mapping
        Name -> plain data, or an object that was read before.
    where : str
        Dotted name of the parameters.

    Returns
    -------
    dict
        Name -> number, series, table or word; the sound ones.
    list of Problem
        Everything else.
    """
    wanted = {name: entry for name, entry in _fields(law).items() if not isinstance(entry[1], FromCard)}
    problems = [
        Problem(
            dotted(where, str(name)),
            f"is not a parameter of the form {law.form!r}; it has {', '.join(wanted)}",
        )
        for name in raw
        if name not in wanted
    ]
    parsed: dict[str, Parameter] = {}
    for name, (kind, annotation) in wanted.items():
        path = dotted(where, name)
        if name not in raw:
            problems.append(Problem(path, f"is missing; the form {law.form!r} needs it"))
        elif isinstance(annotation, Choice):
            if raw[name] in annotation.words:
                parsed[name] = str(raw[name])
            else:
                problems.append(Problem(path, f"{raw[name]!r} is none of {', '.join(annotation.words)}"))
        else:
            try:
                value = _adapter(_shape(kind)).validate_python(_with_unit(raw[name], annotation.unit))
            except ValidationError as error:
                problems.extend(explain(error, path))
                continue
            wrong = list(_refusals(value, annotation, path))
            problems.extend(wrong)
            if not wrong:
                parsed[name] = value
    return parsed, problems


def _with_unit(raw: Any, unit: str) -> Any:
    """Let compound units, which a text may spell in many ways, be read as the unit the law expects."""
    if "/" in unit and isinstance(raw, dict) and "unit" not in raw and isinstance(raw.get("value"), str):
        return {**raw, "unit": unit}
    return raw


def _refusals(value: Number | Series | Table, quantity: Quantity, path: str) -> Iterator[Problem]:
    if value.unit != quantity.unit:
        yield Problem(dotted(path, "unit"), f"has the unit {value.unit!r}; the law needs {quantity.unit!r}")
        return
    for name, number in value.numbers():
        wrong = quantity.refuse(number.value)
        if wrong is not None:
            yield Problem(dotted(path, f"values.{name}" if name else "value"), wrong)


def build_law(law: type[Law], parameters: Mapping[str, Parameter], card_numbers: Mapping[str, float]) -> Law:
    """Make the law of sound parameters.

    Parameters
    ----------
    law : type of Law
    parameters : mapping
        As `parse_parameters` returns them, complete.
    card_numbers : mapping
        Numbers at the top of the card that laws share, SI.
    """
    values: dict[str, Any] = {}
    for name, (kind, annotation) in _fields(law).items():
        if isinstance(annotation, FromCard):
            values[name] = card_numbers[annotation.name]
            continue
        parameter = parameters[name]
        if isinstance(parameter, Number):
            values[name] = kind(parameter.value)
        elif isinstance(parameter, Series):
            values[name] = parameter.values
        elif isinstance(parameter, Table):
            values[name] = Curve(parameter.g, parameter.values)
        else:
            values[name] = parameter
    return law(**values)


def conflict_problems(law: Law, where: str) -> Iterator[Problem]:
    """Iterate over what contradicts itself within a law whose numbers are sound one by one."""
    for name, message in law.conflicts():
        yield Problem(dotted(where, name), message)
