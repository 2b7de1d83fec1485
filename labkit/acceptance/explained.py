"""Rows that cannot hold: the argument in a sentence, and how far it goes.

The arguments stand in docs/decisions/0017-what-the-acceptance-tables-cannot-show.md.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PAGE", "Explanation"]

PAGE = "decision 0017"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a row lies outside its tolerance.

    Attributes
    ----------
    low, high : float
        What the argument expects in place of the printed number; a value outside is a miss nevertheless.
    why : str
        One sentence.
    """

    low: float
    high: float
    why: str

    def covers(self, value: float, room: float = 0.0) -> bool:
        """Whether the argument explains a value, with `room` for the noise of a small sample."""
        return self.low - room <= value <= self.high + room

    @property
    def note(self) -> str:
        """The sentence, and where the whole argument stands."""
        return f"{self.why} ({PAGE})"
