"""Channels of a 707B / 708B: which there are, and the lists a program names them by (instruments §2.5).

Error numbers and words are defaults: the manual says in which cases there is an error, not which (707B manual
p. 7-22).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from drivers.simulated.twins.tsp_errors import Refused

__all__ = ["CARDS", "COLUMNS", "Card", "Channel", "Channels"]

COLUMNS = 12
"""Of every card: column k of the matrix is column (k-1) % 12 + 1 of slot (k-1) // 12 + 1."""

_CHANNEL = re.compile(r"([1-6])([A-H])(\d{2,3})", re.IGNORECASE)
_NAME = re.compile(
    r"[A-Za-z]\w{0,18}", re.ASCII
)  # letters, digits, underscores, at most 19 (3700A manual p. 11-82)

NO_LIST = (1110, "Parameter error, channel list expected")
EMPTY = (1111, "Parameter error, channel list is empty")
NOT_HERE = (1112, "Parameter error, slots are not allowed here")
NO_CHANNEL = (1113, "Parameter error, {} is no channel or channel pattern")
NO_CARD = (1114, "Parameter error, slot {} is empty")
BAD_RANGE = (1115, "Parameter error, {} is no range of channels")
FORBIDDEN = (1116, "Settings conflict, channel {} is forbidden to close")
BAD_NAME = (1117, "Parameter error, {} is no name for a channel pattern")
NO_PATTERN = (1118, "Parameter error, there is no channel pattern {}")


@dataclass(frozen=True)
class Card:
    """A switching card: words of its identity, and its rows."""

    words: str
    rows: str = "ABCDEFGH"


CARDS = {
    "7174A": Card("8x12 Hi Speed Low-current Matrix"),
    "7072": Card("8x12 Semiconductor Matrix"),
    "7173-50": Card("4x12 High Frequency Matrix", "ABCD"),
}


@dataclass(frozen=True, order=True)
class Channel:
    """One relay: slot from 1, row letter, column of the card from 1."""

    slot: int
    row: str
    column: int

    def __str__(self) -> str:
        return f"{self.slot}{self.row}{self.column:02d}"

    @property
    def crosspoint(self) -> tuple[str, int]:
        """Row and column of the matrix as a whole."""
        return self.row, (self.slot - 1) * COLUMNS + self.column


class Channels:
    """The channels of an instrument with certain cards, and the patterns somebody named.

    Parameters
    ----------
    cards : dict of int to Card or None
        By slot; None: empty.
    """

    def __init__(self, cards: dict[int, Card | None]) -> None:
        self.cards = cards
        self.patterns: dict[str, tuple[Channel, ...]] = {}

    def of_slot(self, slot: int) -> list[Channel]:
        """Return the channels of a slot, row by row."""
        card = self.cards.get(slot)
        return (
            [Channel(slot, row, column) for row in card.rows for column in range(1, COLUMNS + 1)]
            if card
            else []
        )

    def all(self) -> list[Channel]:
        """Return all channels, slot by slot."""
        return [channel for slot in self.cards for channel in self.of_slot(slot)]

    def parse(
        self, words: object, *, slots: bool, empty: bool = False, patterns: bool = True
    ) -> list[Channel]:
        """Return the channels of a list, in its order, each once.

        Parameters
        ----------
        slots : bool
            Whether ``slot1`` and ``allslots`` may be in it.
        empty : bool
            Whether it may be empty.
        patterns : bool
            Whether patterns may be in it.

        Raises
        ------
        Refused
            It is no list of channels there are.
        """
        if not isinstance(words, str):
            raise Refused(*NO_LIST)
        items = [item.strip() for item in re.split("[,;]", words)] if words.strip() else []
        if not items and not empty:
            raise Refused(*EMPTY)
        found: dict[Channel, None] = {}
        for item in items:
            found.update(dict.fromkeys(self._item(item, slots=slots, patterns=patterns)))
        return list(found)

    def _item(self, item: str, *, slots: bool, patterns: bool) -> list[Channel]:
        if item in self.patterns and patterns:
            return list(self.patterns[item])
        if item == "allslots" or re.fullmatch(r"slot[1-6]", item):
            if not slots:
                raise Refused(*NOT_HERE)
            channels = self.all() if item == "allslots" else self.of_slot(int(item[4:]))
            if not channels:
                raise Refused(NO_CARD[0], NO_CARD[1].format(item.removeprefix("slot")))
            return channels
        if ":" not in item:
            return [self.one(item)]
        first, last = (self.one(end.strip()) for end in item.split(":", 1))
        if first.slot != last.slot or first > last:
            raise Refused(BAD_RANGE[0], BAD_RANGE[1].format(item))
        return [channel for channel in self.of_slot(first.slot) if first <= channel <= last]

    def one(self, word: str) -> Channel:
        """Return the channel of a specifier like ``1A03``."""
        match = _CHANNEL.fullmatch(word)
        if match is None:
            raise Refused(NO_CHANNEL[0], NO_CHANNEL[1].format(word or "nothing"))
        channel = Channel(int(match[1]), match[2].upper(), int(match[3]))
        card = self.cards.get(channel.slot)
        if card is None:
            raise Refused(NO_CARD[0], NO_CARD[1].format(channel.slot))
        if channel.row not in card.rows or not 1 <= channel.column <= COLUMNS:
            raise Refused(NO_CHANNEL[0], NO_CHANNEL[1].format(word))
        return channel

    def check_name(self, name: object) -> str:
        """Return a name for a pattern; raises Refused for what cannot be one."""
        if not isinstance(name, str) or not _NAME.fullmatch(name) or _CHANNEL.fullmatch(name):
            raise Refused(BAD_NAME[0], BAD_NAME[1].format(name))
        return name

    def pattern(self, name: object) -> tuple[Channel, ...]:
        """Return a pattern by its name; raises Refused where there is none."""
        if not isinstance(name, str) or name not in self.patterns:
            raise Refused(NO_PATTERN[0], NO_PATTERN[1].format(name))
        return self.patterns[name]
