"""The objects of a TSP instrument, ``smua.source`` and the like: constants, functions, typed attributes, elements."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from drivers.simulated.twins.tsp_errors import Refused, RuntimeFault

__all__ = ["Check", "Column", "Node", "between", "boolean", "nearest_up", "one_of", "text", "whole"]

READ_ONLY = "cannot modify read-only item"
"""Words of the run-time error for what cannot be written, and for what does not exist (read of the 2450)."""

TOO_BIG = (1102, "Parameter too big")
TOO_SMALL = (1103, "Parameter too small")
"""Refused values: codes and words as of instruments §2.1, unconfirmed there."""

WRONG_TYPE = (-104, "Data type error")
NOT_ALLOWED = (-224, "Illegal parameter value")

Check = Callable[[Any], Any]
"""Turns what a script assigns into what is kept; raises :class:`Refused`."""


class Node:
    """One object: names lead to constants, functions and further objects, or to attributes.

    Parameters
    ----------
    cached : bool
        The same object is the same Lua table for ever; false for what scripts make and drop.

    Attributes
    ----------
    static : dict
        What a name always stands for. ``__run`` is what a call of the object itself does.
    kept : dict
        What is kept of the settings; the instrument itself may write here, without the checks.
    proxy
        The Lua table that stands for it, None before there is one.
    """

    def __init__(self, *, cached: bool = True) -> None:
        self.static: dict[str, Any] = {}
        self.proxy: Any = None
        self._cached = cached
        self._read: dict[str, Callable[[], Any]] = {}
        self._write: dict[str, Callable[[Any], None]] = {}
        self.kept: dict[str, Any] = {}
        self._defaults: dict[str, Any] = {}

    # ---- building -----------------------------------------------------------------------------------------------
    def add(self, **things: Any) -> None:
        """Give names to constants, functions and objects."""
        self.static.update(things)

    def attribute(
        self, name: str, read: Callable[[], Any] | None, write: Callable[[Any], None] | None = None
    ) -> None:
        """Give a name to something that is read and written by functions."""
        if read is not None:
            self._read[name] = read
        if write is not None:
            self._write[name] = write

    def setting(
        self, name: str, default: Any, check: Check, changed: Callable[[Any], None] | None = None
    ) -> None:
        """Give a name to a value that is kept, and that :meth:`reset` brings back to its default.

        Parameters
        ----------
        changed : callable, optional
            Gets a value after it was kept; not at a reset.
        """
        self.kept[name] = self._defaults[name] = default

        def write(value: Any) -> None:
            self.kept[name] = found = check(value)
            if changed is not None:
                changed(found)

        self.attribute(name, lambda: self.kept[name], write)

    def reset(self) -> None:
        """Bring every setting of this object and of those below back to its default."""
        self.kept.update(self._defaults)
        for thing in self.static.values():
            if isinstance(thing, Node):
                thing.reset()

    # ---- use ------------------------------------------------------------------------------------------------------
    def item(self, index: int) -> Any:
        """Return an element by its number from 1, None where there is none."""
        return None

    def read(self, name: Any) -> Any:
        """Return an attribute or element; None (nil) for what there is not."""
        if isinstance(name, str):
            found = self._read.get(name)
            return found() if found is not None else self.static.get(name)
        return self.item(int(name)) if isinstance(name, int | float) and name == int(name) else None

    def write(self, name: Any, value: Any) -> None:
        """Assign an attribute."""
        found = self._write.get(name) if isinstance(name, str) else None
        if found is None:
            raise RuntimeFault(READ_ONLY)
        found(value)

    def __getitem__(self, name: str) -> Any:
        return self.read(name)

    def made(self, proxy: Any) -> Any:
        """Keep the Lua table that stands for it."""
        if self._cached:
            self.proxy = proxy
        return proxy


class Column(Node):
    """A list of numbers as scripts see it: a reading buffer's ``readings``.

    Parameters
    ----------
    values : callable
        Returns them as they are now.
    """

    def __init__(self, values: Callable[[], Sequence[float]]) -> None:
        super().__init__(cached=False)
        self.values = values

    def item(self, index: int) -> Any:
        """Return an element by its number from 1, None where there is none."""
        found = self.values()
        return float(found[index - 1]) if 1 <= index <= len(found) else None


# ---- checks -------------------------------------------------------------------------------------------------------
def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(*WRONG_TYPE)
    if math.isnan(value):
        raise Refused(*NOT_ALLOWED)
    return float(value)


def between(low: float, high: float) -> Check:
    """Return a check for numbers within limits."""

    def check(value: Any) -> float:
        found = _number(value)
        if found > high:
            raise Refused(*TOO_BIG)
        if found < low:
            raise Refused(*TOO_SMALL)
        return found

    return check


def whole(low: int, high: int) -> Check:
    """Return a check for integers within limits; others are rounded down."""
    within = between(low, high)
    return lambda value: math.floor(within(value))


def one_of(*values: float) -> Check:
    """Return a check for numbers of a list."""

    def check(value: Any) -> float:
        found = _number(value)
        if found not in values:
            raise Refused(*NOT_ALLOWED)
        return found

    return check


def nearest_up(ranges: Sequence[float]) -> Check:
    """Return a check that picks the smallest range that holds a value of either sign."""

    def check(value: Any) -> float:
        found = abs(_number(value))
        for each in ranges:
            if found <= each * (1 + 1e-9):
                return each
        raise Refused(*TOO_BIG)

    return check


def boolean(value: Any) -> Any:
    """Check for true and false."""
    if not isinstance(value, bool):
        raise Refused(*WRONG_TYPE)
    return value


def text(value: Any) -> str:
    """Check for text."""
    if not isinstance(value, str):
        raise Refused(*WRONG_TYPE)
    return value
