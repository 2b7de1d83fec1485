"""Errors of the calibration floor.

::

    CalibrationError            root
    ├── UnitError               a quantity has another unit, none, or is not finite (also a ValueError)
    └── CardError               a device card cannot be read, written or used; lists every problem at once
        └── MissingLawError     the card is sound but does not hold the law that was asked for
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

__all__ = ["CalibrationError", "CardError", "MissingLawError", "Problem", "UnitError"]


class CalibrationError(Exception):
    """Root of all errors of ``calibration``."""


class UnitError(CalibrationError, ValueError):
    """A quantity cannot be taken for its field.

    Parameters
    ----------
    message : str
        What is wrong and how to write it.
    value : object
        The quantity as it was given.
    unit : str
        SI unit the field has.
    field : str, optional
        Name of the field.

    Attributes
    ----------
    value, unit, field
        As given.
    """

    def __init__(
        self, message: str, *, value: object = None, unit: str = "", field: str | None = None
    ) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.value = value
        self.unit = unit
        self.field = field


class Problem(NamedTuple):
    """One thing wrong with a card: where (dotted field name, empty for the whole file) and what."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class CardError(CalibrationError):
    """A device card cannot be read, written or used.

    Parameters
    ----------
    problems : iterable of Problem
        Everything that is wrong with it.
    path : Path or str, optional
        The file.

    Attributes
    ----------
    problems : tuple of Problem
    path : Path or None
    """

    def __init__(self, problems: Iterable[Problem], *, path: Path | str | None = None) -> None:
        self.problems = tuple(problems)
        self.path = None if path is None else Path(path)
        name = "the card" if path is None else str(path)
        if len(self.problems) == 1:
            super().__init__(f"{name}: {self.problems[0]}")
        else:
            lines = "".join(f"\n  {problem}" for problem in self.problems)
            super().__init__(f"{name} has {len(self.problems)} problems; correct them:{lines}")


class MissingLawError(CardError):
    """The card does not hold the law that was asked for.

    Attributes
    ----------
    law : str
        Name of the missing law.
    """

    def __init__(self, law: str, *, card: str) -> None:
        self.law = law
        message = f"card {card!r} holds no such law; measure it or copy the section from a preset"
        super().__init__([Problem(f"laws.{law}", message)])
