"""Rows that cannot hold, each with the argument and the range in which the argument still explains them.

The arguments stand in docs/decisions/0017-what-the-acceptance-tables-cannot-show.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from labkit.acceptance.row import Measured

__all__ = ["PAGE", "Explanation", "explanation_for"]

PAGE = "decision 0017"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a row lies outside its tolerance, and how far that goes.

    Attributes
    ----------
    id, conditions : str
        Of the row; the conditions are a pattern.
    low, high : float
        A measured value outside them is a miss nevertheless.
    why : str
        One sentence.
    """

    id: str
    conditions: str
    low: float
    high: float
    why: str


EXPLANATIONS: tuple[Explanation, ...] = ()


def explanation_for(card: str, id: str, conditions: str, measured: Measured) -> str | None:  # noqa: A002
    """Return why a row of a card that misses its tolerance does, None where nothing explains it."""
    for entry in EXPLANATIONS:
        if entry.id == id and re.search(entry.conditions, conditions) and entry.low <= measured.value <= entry.high:
            return f"{entry.why} ({PAGE})"
    return None
