"""Keithley 707B and 708B: a matrix of relays (instruments §2.5).

Rows A .. H are common to all slots by the backplane, columns go on from slot to slot: column 13 is the first of
slot 2. Reed relays weld when they are switched under voltage; nothing here does that by itself, but nothing here
knows the voltage either: whoever connects brings the sources to zero first.
"""

# ruff: noqa: N818 - the names say what happened

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from drivers.chip import Identity
from drivers.errors import HotSwitch, MalformedAnswer, SettingOutOfRange, WiringError
from drivers.message_link import MessageLink
from drivers.properties import switch
from drivers.tsp_instrument import TspInstrument

__all__ = ["Keithley707", "RelayStuck"]

Crosspoint = tuple[str, int]

COLUMNS = 12
"""Of a card."""

HOT_V = 0.05
"""A guard that reports more than this keeps relays from being switched: a default."""

_CHANNEL = re.compile(r"([1-6])([A-H])(\d{2,3})")
_NAME = re.compile(r"[A-Za-z]\w{0,18}", re.ASCII)
_EMPTY = "Empty Slot"


class RelayStuck(WiringError):
    """A relay is not where it was switched to: it is welded or worn out, or its card is broken.

    Attributes
    ----------
    closed, open : tuple of (str, int)
        Those that are closed and should not be, and those that are open and should not be.
    """

    closed: tuple[Crosspoint, ...] = ()
    open: tuple[Crosspoint, ...] = ()


class Keithley707(TspInstrument):
    """A 707B or 708B; has the role :class:`drivers.roles.CrosspointMatrix`. Made by :meth:`open`.

    Parameters
    ----------
    link, identity, pause
        As of :class:`~drivers.tsp_instrument.TspInstrument`.
    guard : callable, optional
        Asked for the voltage across the relays, V, before any is switched.
    hot_v : float
        From this on they are not.

    Attributes
    ----------
    settle_s : float
        Settling time of a relay, seconds; :meth:`connect` returns after it.
    cards : dict of int to str
        What is in each slot that is not empty.
    guard : callable or None
        May be set later, when the sources are known.
    """

    models = ("707B", "708B")
    settle_s = 4e-3

    sequential = switch(
        "print(channel.connectsequential)",
        "channel.connectsequential = {}",
        "Control whether relays move one after the other, which makes the time they take certain.",
    )

    def __init__(
        self,
        link: MessageLink,
        *,
        identity: Identity | None = None,
        pause: Callable[[float], object] | None = None,
        guard: Callable[[], float] | None = None,
        hot_v: float = HOT_V,
    ) -> None:
        super().__init__(link, identity=identity, pause=pause)
        self.guard, self.hot_v = guard, hot_v
        slots = range(1, 7 if self._identity.model.startswith("707") else 2)
        found = self.ask_values(*(f"slot[{slot}].idn" for slot in slots))
        self.cards = {slot: card for slot, card in zip(slots, found, strict=True) if card.strip() != _EMPTY}

    # ---- what is closed ---------------------------------------------------------------------------------------
    def connect(self, crosspoints: frozenset[Crosspoint]) -> None:
        """Connect exactly these crosspoints and open all others, the opening ones first; returns when settled.

        Relays that stay closed are not moved. One message, and one reply that says what is closed then.

        Parameters
        ----------
        crosspoints : frozenset of (str, int)
            Row letter, and column from 1 of the matrix as a whole.

        Raises
        ------
        SettingOutOfRange
            There is no such crosspoint; nothing was sent.
        HotSwitch
            The guard reports a voltage; nothing was switched.
        InstrumentError
            The instrument refused, as for forbidden crosspoints; nothing was switched.
        RelayStuck
            What is closed afterwards is not what was asked for.
        """
        self._close_only(",".join(self._specifier(point) for point in sorted(crosspoints)), crosspoints)

    def closed(self) -> frozenset[Crosspoint]:
        """Ask which crosspoints are closed."""
        return self._crosspoints(self.ask('print(channel.getclose("allslots"))'))

    def open_all(self) -> None:
        """Open every relay, and see that it is."""
        self.connect(frozenset())

    def _close_only(self, words: str, wanted: frozenset[Crosspoint]) -> None:
        self._look_out()
        with self._mine:
            reply = self.link.query(
                f'channel.connectrule = channel.BREAK_BEFORE_MAKE channel.exclusiveclose("{words}") '
                'print(channel.getclose("allslots"), errorqueue.count)'
            )
            closed, _, errors = reply.partition("\t")
            if self._number(errors.strip()):
                self.check()
        self._compare(wanted, self._crosspoints(closed))

    def _look_out(self) -> None:
        if self.guard is None:
            return
        voltage_v = self.guard()
        if not abs(voltage_v) < self.hot_v:
            raise HotSwitch(
                f"{voltage_v:.3g} V are across the relays of {self!r}: bring the sources to zero first; nothing was "
                "switched",
                voltage_v=voltage_v,
            )

    def _compare(self, wanted: frozenset[Crosspoint], found: frozenset[Crosspoint]) -> None:
        closed, opened = tuple(sorted(found - wanted)), tuple(sorted(wanted - found))
        if closed or opened:
            raise RelayStuck(
                f"{self!r} was to close {_words(wanted)}; {_words(closed)} did not open, {_words(opened)} did not "
                "close: relays that were switched under voltage stay closed for ever, and their card must be repaired",
                closed=closed,
                open=opened,
            )

    # ---- patterns and forbidden crosspoints -------------------------------------------------------------------
    def store_pattern(self, name: str, crosspoints: Collection[Crosspoint]) -> None:
        """Store crosspoints in the instrument under a name of up to 19 letters, digits and underscores."""
        if not _NAME.fullmatch(name) or _CHANNEL.fullmatch(name.upper()) or not crosspoints:
            raise SettingOutOfRange(
                f"{name!r} is no name for a pattern, or it has no crosspoints", setting="name"
            )
        words = ",".join(self._specifier(point) for point in sorted(crosspoints))
        self.tell(f'channel.pattern.setimage("{words}", "{name}")')

    def pattern(self, name: str) -> frozenset[Crosspoint]:
        """Ask which crosspoints are stored under a name.

        Raises
        ------
        InstrumentError
            There is no such pattern.
        """
        self._check_name(name)
        reply = self.ask(f'print(channel.pattern.getimage("{name}"))')
        if reply.strip() == "nil":
            self.check()
        return self._crosspoints(reply)

    def connect_pattern(self, name: str) -> None:
        """Connect exactly the crosspoints stored under a name; as :meth:`connect`."""
        self._close_only(name, self.pattern(name))

    def delete_pattern(self, name: str) -> None:
        """Clear a pattern out of the instrument."""
        self._check_name(name)
        self.tell(f'channel.pattern.delete("{name}")')

    def forbid(self, crosspoints: Collection[Crosspoint]) -> None:
        """Set crosspoints that must never be closed; those that are closed open."""
        self._look_out()
        self._each("setforbidden", crosspoints)

    def allow(self, crosspoints: Collection[Crosspoint]) -> None:
        """Set crosspoints that may be closed again."""
        self._each("clearforbidden", crosspoints)

    def forbidden(self) -> frozenset[Crosspoint]:
        """Ask which crosspoints must never be closed."""
        return self._crosspoints(self.ask('print(channel.getforbidden("allslots"))'))

    def _each(self, function: str, crosspoints: Collection[Crosspoint]) -> None:
        words = ",".join(self._specifier(point) for point in sorted(crosspoints))
        if words:
            self.tell(f'channel.{function}("{words}")')

    # ---- how it is left ---------------------------------------------------------------------------------------
    def make_safe(self) -> None:
        """Bring every relay to open, and see that it is; the guard is not asked."""
        with self._mine:
            self.tell('channel.open("allslots")')
        self._compare(frozenset(), self.closed())

    def reset(self) -> None:
        """Reset the instrument: every relay opens, patterns and forbidden crosspoints are gone."""
        self._look_out()
        self.tell("reset()")

    def snapshot(self) -> dict[str, object]:
        """Return identity, settings, cards, and what is closed and forbidden, for the record of a run."""
        return {
            **super().snapshot(),
            "cards": dict(self.cards),
            "closed": sorted(self.closed()),
            "forbidden": sorted(self.forbidden()),
        }

    # ---- names ------------------------------------------------------------------------------------------------
    def _specifier(self, crosspoint: Crosspoint) -> str:
        row, column = crosspoint
        slot, rest = divmod(column - 1, COLUMNS)
        if row not in tuple("ABCDEFGH") or column < 1 or slot + 1 not in self.cards:
            cards = ", ".join(f"{slot * COLUMNS - 11} .. {slot * COLUMNS}" for slot in self.cards)
            raise SettingOutOfRange(
                f"{self!r} has no crosspoint of row {row} and column {column}: it has rows A .. H and columns "
                f"{cards or 'none'}; nothing was sent",
                setting="crosspoint",
                value=crosspoint,
            )
        return f"{slot + 1}{row}{rest + 1:02d}"

    def _crosspoints(self, reply: str) -> frozenset[Crosspoint]:
        words = reply.strip()
        if words == "nil":
            return frozenset()
        found = [_CHANNEL.fullmatch(word.strip()) for word in re.split("[,;]", words)]
        if not all(found):
            raise MalformedAnswer(
                f"{self!r} answered {reply[:80]!r} where channels were asked for; earlier replies may be under way, "
                "reopen the link",
                address=self.link.address,
            )
        return frozenset((each[2], (int(each[1]) - 1) * COLUMNS + int(each[3])) for each in found if each)


def _words(crosspoints: Collection[Crosspoint]) -> str:
    return ", ".join(f"{row}{column}" for row, column in sorted(crosspoints)) or "none"
