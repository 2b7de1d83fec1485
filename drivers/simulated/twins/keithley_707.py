"""The twin of the Keithley 707B and 708B switching matrices (instruments §2.5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from drivers.simulated.locks import FairLock
from drivers.simulated.terminals import Bench
from drivers.simulated.twins.keithley_707_channels import CARDS, FORBIDDEN, Card, Channel, Channels
from drivers.simulated.twins.tsp import TspTwin
from drivers.simulated.twins.tsp_errors import Refused
from drivers.simulated.twins.tsp_library import display
from drivers.simulated.twins.tsp_objects import Node, one_of

if TYPE_CHECKING:
    from drivers.bench_simulated import SimulatedTwin
    from drivers.simulated.world import World

__all__ = ["Keithley707Twin", "build"]

SERIAL, FIRMWARE = "1234567", "01.40a"
"""Of an instrument the bench file does not describe further: defaults."""

SETTLE_S = 4e-3
"""A relay's (instruments §2.5)."""

WELDS_FROM_V = 0.05
"""A relay that is switched with this across it, before it closes or after it opened, is welded: a default.

The manual warns of hot switching and states no voltage; below this a circuit counts as dry.
"""

OFF, BREAK_BEFORE_MAKE, MAKE_BEFORE_BREAK = 0, 1, 2
CLOSED = 1


class Keithley707Twin(TspTwin):
    """One matrix.

    Parameters
    ----------
    name, bench, lock
        As of :class:`~drivers.simulated.twin.Twin`.
    model, serial, firmware : str
    cards : dict of int to str
        Model of the card in each slot, "" for an empty one.
    """

    def __init__(
        self,
        name: str,
        bench: Bench,
        lock: FairLock,
        *,
        model: str,
        cards: dict[int, str],
        serial: str = SERIAL,
        firmware: str = FIRMWARE,
    ) -> None:
        super().__init__(name, bench, lock, model=model, serial=serial, firmware=firmware)
        self.channels = Channels({slot: CARDS[card] if card else None for slot, card in cards.items()})
        self._asked: set[Channel] = set()
        self._forbidden: set[Channel] = set()
        channel = Node()
        channel.add(
            ON=1,
            OFF=OFF,
            BREAK_BEFORE_MAKE=BREAK_BEFORE_MAKE,
            MAKE_BEFORE_BREAK=MAKE_BEFORE_BREAK,
            IND_CLOSED=CLOSED,
            close=self._close,
            open=self._open,
            exclusiveclose=self._close_only,
            exclusiveslotclose=self._close_only_on_slots,
            getclose=self._or_nil(self._closed_of),
            getstate=self._or_nil(self._state_of),
            reset=self._reset_channels,
            setforbidden=self._forbid,
            clearforbidden=self._allow,
            getforbidden=self._or_nil(self._forbidden_of),
            pattern=self._patterns(),
        )
        channel.setting("connectrule", BREAK_BEFORE_MAKE, one_of(OFF, BREAK_BEFORE_MAKE, MAKE_BEFORE_BREAK))
        channel.setting("connectsequential", OFF, one_of(0, 1))
        self._channel = channel
        slots = _Slots(cards)
        screen = display(self)
        for word, node in (("channel", channel), ("slot", slots), ("display", screen)):
            self.lua.put(word, node)
        self.resettable += [channel, screen]

    def _or_nil(self, function: Callable[..., str | None]) -> Callable[..., str | None]:
        """Let a question return nil where there is an error (3700A manual p. 11-63)."""

        def asked(*arguments: Any) -> str | None:
            try:
                return function(*arguments)
            except Refused as error:
                self.errors.add(error.entry)
                return None

        return asked

    def _patterns(self) -> Node:
        patterns, channels = Node(), self.channels

        def set_image(words: Any = None, name: Any = None) -> None:
            name = channels.check_name(name)
            channels.patterns[name] = tuple(self._may_close(channels.parse(words, slots=False)))

        def snapshot(name: Any = None) -> None:
            channels.patterns[channels.check_name(name)] = tuple(sorted(self.closed()))

        def delete(name: Any = None) -> None:
            channels.pattern(name)
            del channels.patterns[name]

        patterns.add(
            setimage=set_image,
            getimage=self._or_nil(lambda name=None: ",".join(map(str, channels.pattern(name))) or None),
            snapshot=snapshot,
            delete=delete,
        )
        return patterns

    # ---- relays -------------------------------------------------------------------------------------------------
    def closed(self) -> set[Channel]:
        """Return what is closed: what was asked for, and what is welded.

        That the instrument sees its welded relays is a default: no manual says whether it reads them back.
        """
        welded = self.bench.welded(self.name)
        return self._asked | {channel for channel in self.channels.all() if channel.crosspoint in welded}

    def _switch(self, after: set[Channel]) -> None:
        """Move one relay: what this does to it depends on the voltage across it."""
        moved = after ^ self._asked
        self._asked = after
        voltage_v = self.bench.relays(self.name, frozenset(channel.crosspoint for channel in after))
        if abs(voltage_v) >= WELDS_FROM_V:
            self.bench.weld(self.name, frozenset(channel.crosspoint for channel in moved))

    def _move(self, channels: Iterable[Channel], *, close: bool) -> float:
        """Open or close relays one after the other, and return how long they take to settle, s."""
        moving = [channel for channel in sorted(channels) if (channel in self._asked) != close]
        for channel in moving:
            self._switch(self._asked | {channel} if close else self._asked - {channel})
        return SETTLE_S * (len(moving) if self._channel["connectsequential"] else min(len(moving), 1))

    def _open_and_close(self, opening: set[Channel], closing: list[Channel]) -> None:
        """Do what the connection rule says; it is for the exclusive functions only."""
        rule = self._channel["connectrule"]
        if rule == MAKE_BEFORE_BREAK:
            self.overlapped.wait_s(self._move(closing, close=True))
            self.overlapped.wait_s(self._move(opening, close=False))
        elif rule == BREAK_BEFORE_MAKE:
            self.overlapped.wait_s(self._move(opening, close=False))
            self.overlapped.wait_s(self._move(closing, close=True))
        else:
            opens_s = self._move(opening, close=False)
            self.overlapped.wait_s(max(opens_s, self._move(closing, close=True)))

    def _may_close(self, channels: list[Channel]) -> list[Channel]:
        for channel in channels:
            if channel in self._forbidden:
                raise Refused(FORBIDDEN[0], FORBIDDEN[1].format(channel))
        return channels

    # ---- functions ----------------------------------------------------------------------------------------------
    def _close(self, words: Any = None) -> None:
        channels = self._may_close(self.channels.parse(words, slots=False))
        self.overlapped.wait_s(self._move(channels, close=True))

    def _open(self, words: Any = None) -> None:
        self.overlapped.wait_s(self._move(self.channels.parse(words, slots=True), close=False))

    def _close_only(self, words: Any = None) -> None:
        channels = self._may_close(self.channels.parse(words, slots=False, empty=True))
        self._open_and_close(self._asked - set(channels), channels)

    def _close_only_on_slots(self, words: Any = None) -> None:
        channels = self._may_close(self.channels.parse(words, slots=False))
        slots = {channel.slot for channel in channels}
        self._open_and_close({each for each in self._asked if each.slot in slots} - set(channels), channels)

    def _closed_of(self, words: Any = None) -> str | None:
        channels, closed = self.channels.parse(words, slots=True), self.closed()
        return ";".join(str(channel) for channel in sorted(channels) if channel in closed) or None

    def _state_of(self, words: Any = None, mask: Any = CLOSED) -> str:
        channels, closed = self.channels.parse(words, slots=True), self.closed()
        return ",".join(str(int(channel in closed) & int(mask)) for channel in channels)

    def _reset_channels(self, words: Any = None) -> None:
        channels = self.channels.parse(words, slots=True)
        self._forbidden -= set(channels)
        self.overlapped.wait_s(self._move(channels, close=False))

    def _forbid(self, words: Any = None) -> None:
        channels = self.channels.parse(words, slots=True, patterns=False)
        self._forbidden |= set(channels)
        self.overlapped.wait_s(self._move(channels, close=False))  # what must not be closed does not stay it

    def _allow(self, words: Any = None) -> None:
        self._forbidden -= set(self.channels.parse(words, slots=True, patterns=False))

    def _forbidden_of(self, words: Any = None) -> str | None:
        channels = self.channels.parse(words, slots=True, patterns=False)
        return ",".join(str(channel) for channel in sorted(channels) if channel in self._forbidden) or None

    def reset(self) -> None:
        """Open everything, and forget patterns and what is forbidden."""
        super().reset()
        self.channels.patterns.clear()
        self._forbidden.clear()
        self.overlapped.wait_s(self._move(set(self._asked), close=False))


class _Slots(Node):
    """``slot``: what is in each."""

    def __init__(self, cards: dict[int, str]) -> None:
        super().__init__()
        self._slots: dict[int, Node] = {}
        for slot, name in cards.items():
            node = Node()
            card: Card | None = CARDS[name] if name else None
            node.add(idn=f"{name},{card.words},01.00a,{1_234_566 + slot}" if card else "Empty Slot")
            self._slots[slot] = node

    def item(self, index: int) -> Any:
        """Return a slot by its number."""
        return self._slots.get(index)


def build(name: str, simulated: SimulatedTwin, world: World) -> Keithley707Twin:
    """Build a 707B (six slots) or 708B (one).

    Options: ``cards``, one card model per slot, "empty" for none; a 7174A in every slot when left out.

    Raises
    ------
    ValueError
        Options there are not.
    """
    model = simulated.model.removeprefix("keithley-").upper()
    count = 6 if model == "707B" else 1
    cards = simulated.options.get("cards", ["7174A"] * count)
    if simulated.options.keys() - {"cards"} or not isinstance(cards, list) or len(cards) > count:
        raise ValueError(f"{name}: the only option is cards, a list of up to {count}")
    if unknown := set(cards) - {*CARDS, "empty"}:
        raise ValueError(
            f"{name}: no cards {', '.join(sorted(unknown))}; there are {', '.join(CARDS)} and empty"
        )
    filled = [*cards, *["empty"] * (count - len(cards))]
    return Keithley707Twin(
        name,
        world,
        world.lock,
        model=model,
        cards={slot: "" if card == "empty" else card for slot, card in enumerate(filled, 1)},
        serial=simulated.serial or SERIAL,
        firmware=simulated.firmware or FIRMWARE,
    )
