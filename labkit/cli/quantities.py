"""Quantities as they are typed on a command line: ``25s,1h``, ``0.5uS``, ``0.3sigma``."""

from __future__ import annotations

import re
from contextlib import suppress

import typer

__all__ = ["ages", "margin", "seconds"]

_CALENDAR_S = {
    **dict.fromkeys(("w", "wk", "week", "weeks"), 604_800.0),
    **dict.fromkeys(("mo", "month", "months"), 2_629_800.0),  # a twelfth of the year below
    **dict.fromkeys(("y", "yr", "year", "years"), 31_557_600.0),  # 365.25 days
}
_AGE_MAX_S = 100 * _CALENDAR_S["y"]
_NUMBER_AND_WORD = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([A-Za-z]+)")


def seconds(text: str, option: str) -> float:
    """Read a time span, seconds.

    Parameters
    ----------
    text : str
        ``25s``, ``10 min``, ``1h``, ``1d``, ``1wk``, ``1mo``, ``1y``. Never a bare number: a list would take
        ``1,5h``, meant as one and a half hours, for a second and five hours.
    option : str
        Where it stands, for the message.

    Raises
    ------
    typer.BadParameter
        It is no time span.
    """
    from calibration.errors import UnitError
    from calibration.units import parse

    match = _NUMBER_AND_WORD.fullmatch(text.strip())
    if match is not None:
        if match[2] in _CALENDAR_S:
            return float(match[1]) * _CALENDAR_S[match[2]]
        with suppress(UnitError):
            return parse(match[0], "s")
    raise typer.BadParameter(
        f"{text.strip()!r} is no time; write 25s, 10min, 1h, 1d, 1wk, 1mo or 1y", param_hint=option
    )


def ages(text: str, option: str = "--at") -> list[float]:
    """Read ages separated by commas; seconds, ascending, none twice.

    Raises
    ------
    typer.BadParameter
        One of them is no age.
    """
    found: set[float] = set()
    for part in text.split(","):
        if not part.strip():
            raise typer.BadParameter(
                f"{text!r} lacks one; write ages separated by commas, like 1h,1d", param_hint=option
            )
        age_s = seconds(part, option)
        if not 0 < age_s <= _AGE_MAX_S:
            raise typer.BadParameter(
                f"{part.strip()!r} is no age; ages lie above zero and end at 100 y",
                param_hint=option,
            )
        found.add(age_s)
    return sorted(found)


def margin(text: str, option: str = "--margin") -> dict[str, float]:
    """Read an accepted error as a keyword of ``ProgramSettings``: ``0.5uS`` siemens, ``0.5sigma`` spreads.

    Raises
    ------
    typer.BadParameter
        Neither, or not above zero.
    """
    from calibration.errors import UnitError
    from calibration.units import parse, unit_of

    number, sigma, rest = text.strip().partition("sigma")
    found: dict[str, float] = {}
    with suppress(UnitError):
        if sigma and not rest:
            found["margin_sigmas"] = parse(number.strip(), "1")
        elif unit_of(text.strip()) == "S":
            found["margin_s"] = parse(text.strip(), "S")
    if not found or min(found.values()) <= 0:
        raise typer.BadParameter(
            f"{text!r} is no margin; write a conductance like 0.5uS, or 0.5sigma in programming errors",
            param_hint=option,
        )
    return found
