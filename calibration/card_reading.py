"""Checks of a card: plain data in, its parts and every problem out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from calibration.errors import Problem
from calibration.forms import (
    LAW_FORMS,
    build_law,
    conflict_problems,
    dotted,
    explain,
    parse_parameters,
)
from calibration.number import Number
from calibration.section import LawSection
from calibration.validity import Validity

__all__ = ["SCHEMA", "check_parts", "read_card"]

SCHEMA = "labkit-device-card/1"

_TOP = {"g_max": "S", "t0": "s"}
_FIELDS = ("schema", "name", "description", *_TOP, "laws")
_SECTION_FIELDS = ("form", "validity", "parameters")


def read_card(data: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """Read the plain data of a card.

    Parameters
    ----------
    data : mapping
        Content of a card file.

    Returns
    -------
    dict
        Arguments for `DeviceCard`; incomplete where there are problems.
    list of Problem
    """
    problems = [
        Problem(str(key), f"is not a field of a card; it has {', '.join(_FIELDS)}")
        for key in data
        if key not in _FIELDS
    ]
    schema = data.get("schema")
    if schema is None:
        problems.append(Problem("schema", f"is missing; write {SCHEMA!r}"))
    elif schema != SCHEMA:
        problems.append(Problem("schema", f"is {schema!r}; this version reads {SCHEMA!r}"))
    parts: dict[str, Any] = {"name": data.get("name"), "description": data.get("description", "")}
    problems += _text_problems(parts["name"], parts["description"])
    for name, unit in _TOP.items():
        number, wrong = _top_number(data.get(name), name, unit)
        parts[name] = number
        problems += wrong
    laws = data.get("laws")
    parts["laws"] = {}
    if not isinstance(laws, Mapping) or not laws:
        problems.append(Problem("laws", f"holds no laws; give at least one of {', '.join(LAW_FORMS)}"))
        return parts, problems
    for law, raw in laws.items():
        section, wrong = _read_section(str(law), raw, _shared(parts))
        problems += wrong
        if section is not None:
            parts["laws"][str(law)] = section
    return parts, problems


def check_parts(
    name: object, description: object, g_max: object, t0: object, laws: Mapping[str, LawSection]
) -> list[Problem]:
    """Return everything wrong with the parts of a card that was made in Python."""
    problems = _text_problems(name, description)
    parts: dict[str, Any] = {}
    for field, value in (("g_max", g_max), ("t0", t0)):
        parts[field], wrong = _top_number(value, field, _TOP[field])
        problems += wrong
    if not laws:
        problems.append(Problem("laws", f"holds no laws; give at least one of {', '.join(LAW_FORMS)}"))
    for law, section in laws.items():
        raw = {"form": section.form, "validity": section.validity, "parameters": section.parameters}
        problems += _read_section(law, raw, _shared(parts))[1]
    return problems


def _shared(parts: Mapping[str, Any]) -> dict[str, float]:
    # A stand-in for a number that was refused lets the rest of the card be checked all the same.
    return {name: parts[name].value if isinstance(parts.get(name), Number) else 1.0 for name in _TOP}


def _text_problems(name: object, description: object) -> list[Problem]:
    problems = []
    if not isinstance(name, str) or not name.strip():
        problems.append(Problem("name", "is missing or no text; name the device in a word or two"))
    if not isinstance(description, str):
        problems.append(Problem("description", f"{description!r} is not a text"))
    return problems


def _top_number(raw: object, name: str, unit: str) -> tuple[Number | None, list[Problem]]:
    if raw is None:
        return None, [Problem(name, f"is missing; give a number with unit {unit}, status and source")]
    try:
        number = Number.model_validate(raw)
    except ValidationError as error:
        return None, list(explain(error, name))
    if number.unit != unit:
        return None, [Problem(f"{name}.unit", f"has the unit {number.unit!r}; it needs {unit!r}")]
    if number.value <= 0.0:
        return None, [Problem(f"{name}.value", f"{number.value!r} must be above 0")]
    return number, []


def _read_section(
    law: str, raw: object, shared: Mapping[str, float]
) -> tuple[LawSection | None, list[Problem]]:
    where = dotted("laws", law)
    if law not in LAW_FORMS:
        return None, [Problem(where, f"is not a law of a card; it has {', '.join(LAW_FORMS)}")]
    if not isinstance(raw, Mapping):
        return None, [Problem(where, f"is not a section; it needs {', '.join(_SECTION_FIELDS)}")]
    problems = [
        Problem(dotted(where, str(key)), f"is not a field of a law; it has {', '.join(_SECTION_FIELDS)}")
        for key in raw
        if key not in _SECTION_FIELDS
    ]
    validity = Validity()
    if raw.get("validity") is None:
        problems.append(
            Problem(dotted(where, "validity"), "is missing; give the ranges the law was measured in")
        )
    else:
        try:
            validity = Validity.model_validate(raw["validity"])
        except ValidationError as error:
            problems += explain(error, where, "validity")
    forms = LAW_FORMS[law]
    form = raw.get("form")
    if not isinstance(form, str) or form not in forms:
        problems.append(
            Problem(dotted(where, "form"), f"{form!r} is no form of this law; use {', '.join(forms)}")
        )
        return None, problems
    parameters = raw.get("parameters")
    if not isinstance(parameters, Mapping):
        problems.append(Problem(dotted(where, "parameters"), "is missing"))
        return None, problems
    kind = forms[form]
    parsed, wrong = parse_parameters(kind, parameters, dotted(where, "parameters"))
    if not wrong:
        wrong = list(conflict_problems(build_law(kind, parsed, shared), dotted(where, "parameters")))
    problems += wrong
    return (None if problems else LawSection(form, parsed, validity)), problems
