"""One line per command of an instrument: how it is asked, how it is set, its unit, its range and what it is.

::

    class SmuChannel(Part):
        level_v = number("print({smu}.source.levelv)", "{smu}.source.levelv = {}",
                         "Control the sourced voltage.", unit="V", span="voltage_span_v")

    smu.a.level_v = 0.2          # checked against the range, sent, the instrument's errors asked for
    smu.a.level_v                # asked

A property with a query alone is read-only, one with a command alone write-only. Braces with a name are filled from
:attr:`Part.names`, the empty pair holds the value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, NoReturn, Self, TypeVar, overload

from drivers.errors import MalformedAnswer, SettingOutOfRange

__all__ = ["Control", "Part", "Range", "choice", "number", "switch", "text", "whole"]

T = TypeVar("T")

Range = tuple[float, float] | str | None
"""Lowest and highest value, or the name of the attribute of the owner that holds them."""


class Part:
    """Something with properties: an instrument, or one of its channels.

    Attributes
    ----------
    names : mapping of str to str
        What the names in braces of its commands stand for.
    """

    names: Mapping[str, str] = {}

    def ask(self, query: str) -> str:
        """Ask the instrument something; returns its reply."""
        raise NotImplementedError

    def tell(self, command: str) -> None:
        """Send a command, then look at the instrument's errors."""
        raise NotImplementedError

    def parts(self) -> Mapping[str, Part]:
        """Return the channels and other parts below this one, by name."""
        return {}

    @classmethod
    def controls(cls) -> dict[str, Control[Any]]:
        """Return every property declared for this kind of part, by name."""
        return {
            name: found
            for kind in reversed(cls.__mro__)
            for name, found in vars(kind).items()
            if isinstance(found, Control)
        }

    def settings(self) -> dict[str, Any]:
        """Return every readable setting by name, those of parts below as ``part.name``; measurements are left out."""
        return dict(self._settings())

    def _settings(self) -> Iterator[tuple[str, Any]]:
        for name, control in self.controls().items():
            if control.query and control.command:
                yield name, getattr(self, name)
        for name, part in self.parts().items():
            yield from ((f"{name}.{inner}", value) for inner, value in part._settings())


class Control(Generic[T]):
    """One command of an instrument as a typed property; made by :func:`number` and its sisters.

    Parameters
    ----------
    query, command : str or None
        Templates of what is asked and what is sent.
    doc : str
        Begins with one of the words Control, Get, Measure, Set.
    parse : callable
        Reply to value; raises ValueError or KeyError for what it cannot read.
    spell : callable
        Value to what is sent.
    unit : str
        SI unit of the value, "" where it has none.
    span : Range
        What may be set.
    """

    def __init__(
        self,
        query: str | None,
        command: str | None,
        doc: str,
        *,
        parse: Callable[[str], T],
        spell: Callable[[T], str],
        unit: str = "",
        span: Range = None,
    ) -> None:
        self.query, self.command, self.unit, self.span = query, command, unit, span
        self.__doc__ = doc
        self._parse, self._spell = parse, spell

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, part: None, owner: type) -> Self: ...
    @overload
    def __get__(self, part: Part, owner: type) -> T: ...
    def __get__(self, part: Part | None, owner: type) -> Self | T:
        if part is None:
            return self
        if self.query is None:
            raise AttributeError(f"{self.name} of {part!r} can only be set")
        reply = part.ask(self.query.format(**part.names))
        try:
            return self._parse(reply.strip())
        except (ValueError, KeyError) as error:
            raise MalformedAnswer(
                f"{part!r} answered {reply[:80]!r} to the question for {self.name}: not a value it can have; read it "
                "again, and check the link if it stays"
            ) from error

    def __set__(self, part: Part, value: T) -> None:
        if self.command is None:
            raise AttributeError(f"{self.name} of {part!r} can only be read")
        low, high = self.limits(part)
        if isinstance(value, int | float) and not isinstance(value, bool) and not low <= value <= high:
            raise SettingOutOfRange(
                f"{self.name} = {value:g} {self.unit} is outside {low:g} .. {high:g} {self.unit} of {part!r}; "
                "nothing was sent",
                setting=self.name,
                value=value,
                low=low,
                high=high,
            )
        try:
            spelled = self._spell(value)
        except (KeyError, ValueError, TypeError) as error:
            self._refuse(part, value, error)
        part.tell(self.command.format(spelled, **part.names))

    def limits(self, part: Part) -> tuple[float, float]:
        """Return what may be set on this very part, infinite where nothing is stated."""
        found = getattr(part, self.span) if isinstance(self.span, str) else self.span
        return (-math.inf, math.inf) if found is None else (float(found[0]), float(found[1]))

    def _refuse(self, part: Part, value: object, error: Exception) -> NoReturn:
        raise SettingOutOfRange(
            f"{self.name} = {value!r} is nothing {part!r} can be set to ({error}); nothing was sent",
            setting=self.name,
            value=value,
        ) from error


def _finite(value: float) -> str:
    if math.isnan(value):
        raise ValueError("not a number")
    return f"{float(value):.10g}"


def number(
    query: str | None,
    command: str | None,
    doc: str,
    *,
    unit: str = "",
    span: Range = None,
    parse: Callable[[str], float] = float,
    spell: Callable[[float], str] = _finite,
) -> Control[float]:
    """Declare a command whose value is a float in SI units."""
    return Control(query, command, doc, parse=parse, spell=spell, unit=unit, span=span)


def _whole(reply: str) -> int:
    value = float(reply)
    if value != int(value):
        raise ValueError(reply)
    return int(value)


def whole(
    query: str | None,
    command: str | None,
    doc: str,
    *,
    unit: str = "",
    span: Range = None,
    spell: Callable[[int], str] = lambda value: str(int(value)),
) -> Control[int]:
    """Declare a command whose value is an integer."""
    return Control(query, command, doc, parse=_whole, spell=spell, unit=unit, span=span)


def switch(
    query: str | None, command: str | None, doc: str, *, on: str = "1", off: str = "0"
) -> Control[bool]:
    """Declare a command that is on or off; replies are numbers, or the words that are sent."""

    def parse(reply: str) -> bool:
        if reply.upper() in (on.upper(), off.upper()):
            return reply.upper() == on.upper()
        if reply.lower() in ("true", "false"):
            return reply.lower() == "true"
        if _whole(reply) not in (0, 1):
            raise ValueError(reply)
        return _whole(reply) == 1

    return Control(query, command, doc, parse=parse, spell=lambda value: on if value else off)


def choice(
    query: str | None,
    command: str | None,
    doc: str,
    words: Mapping[str, str],
    *,
    parse: Callable[[str], str] = str,
) -> Control[str]:
    """Declare a command whose value is one of some words.

    Parameters
    ----------
    words : mapping of str to str
        What we call a value -> what the instrument calls it, as it is sent.
    parse : callable
        Brings a reply into the spelling of `words`, where the instrument answers in another one.
    """
    back = {sent.upper(): ours for ours, sent in words.items()}

    def spell(value: str) -> str:
        if value not in words:
            raise ValueError(f"possible is {', '.join(words)}")
        return words[value]

    return Control(query, command, doc, parse=lambda reply: back[parse(reply).upper()], spell=spell)


def text(query: str | None, command: str | None, doc: str) -> Control[str]:
    """Declare a command whose value is text."""
    return Control(query, command, doc, parse=str, spell=str)
