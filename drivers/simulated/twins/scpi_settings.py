"""Settings of a twin, one row each: header, kind of value, range, default, and how it is answered.

::

    Setting("high_v", "[:SOURce]:VOLTage#[:LEVel][:IMMediate]:HIGH", Quantity("V", span=lambda twin, n: twin.span(n)),
            default=0.05, then=lambda twin, n, old: twin.levels_changed(n))

A row gives the command and the query, ``MIN``, ``MAX`` and ``DEF`` for both, ``UP`` and ``DOWN`` where there is a
step, -222 outside the range, and the value after ``*RST``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from drivers.simulated.scpi_commands import Parameter
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.twins.scpi_table import Call, TwinCommand
from drivers.simulated.twins.scpi_values import Name, Number, OneOf, OnOff

__all__ = ["Choice", "Kind", "Quantity", "Setting", "Settings", "Switch", "Words", "nr3"]

Span = tuple[float, float] | Callable[[Any, int], tuple[float, float]]


def nr3(digits: int = 15) -> Callable[[float], str]:
    """Return what spells a number with a sign and `digits` decimals, ``+1.000000000000000E-06``."""
    return lambda value: f"{value:+.{digits}E}"


class Owner(Protocol):
    """What a setting needs of its twin."""

    clips: bool
    number: Callable[[float], str]
    settings: Settings

    def error(self, code: int, info: str = "") -> None:
        """Queue an error."""

    def changed(self, name: str, n: int) -> None:
        """Act on a setting that was set by its command."""


@dataclass(frozen=True)
class Kind:
    """What sort of value a setting has."""

    def parameter(self) -> Parameter:
        """Return the parameter of its command."""
        raise NotImplementedError

    def asking(self) -> tuple[Parameter, ...]:
        """Return the parameters of its query."""
        return ()

    def taken(self, twin: Owner, setting: Setting, n: int, sent: Any) -> Any:
        """Return the value a parameter means; raises ScpiError where it may not be."""
        return sent

    def asked(self, twin: Owner, setting: Setting, n: int, sent: Any) -> Any:
        """Return the value a query answers."""
        return twin.settings.get(setting.name, n)

    def spelled(self, twin: Owner, value: Any) -> str:
        """Return the value as it is answered."""
        return str(value)


@dataclass(frozen=True)
class Quantity(Kind):
    """A number.

    Attributes
    ----------
    unit : str or tuple of str
        Units it may have behind it; the first is its own.
    span : (float, float) or callable
        Lowest and highest value, or ``span(twin, n)`` that returns them.
    whole : bool
        It is an integer, answered with a sign.
    infinite : bool
        INF is allowed, beyond the span.
    step : float
        Of UP and DOWN; 0: there are none.
    reply : callable, optional
        Spells the value, where the twin's own way is not it.
    """

    unit: str | tuple[str, ...] = ()
    span: Span = (-math.inf, math.inf)
    whole: bool = False
    infinite: bool = False
    step: float = 0.0
    reply: Callable[[float], str] | None = None

    def parameter(self) -> Parameter:  # noqa: D102
        words = ("MIN", "MAX", "DEF") + ("INF",) * self.infinite + ("UP", "DOWN") * (self.step > 0)
        units = (self.unit,) if isinstance(self.unit, str) else self.unit
        return Number(units=tuple(unit.upper() for unit in units), keywords=words, whole=self.whole)

    def asking(self) -> tuple[Parameter, ...]:  # noqa: D102
        return (OneOf(words=("MINimum", "MAXimum", "DEFault"), optional=True),)

    def range(self, twin: Owner, n: int) -> tuple[float, float]:
        """Return lowest and highest value as things are."""
        return self.span(twin, n) if callable(self.span) else self.span

    def taken(self, twin: Owner, setting: Setting, n: int, sent: Any) -> float:  # noqa: D102
        low, high = self.range(twin, n)
        if isinstance(sent, str):
            value = self._meant(twin, setting, n, sent)
        elif self.infinite and sent >= 9.9e37:
            return float(sent)
        else:
            value = float(sent)
        if math.isnan(value):
            raise ScpiError(-222)
        # Limits are computed too, and nobody sends more digits.
        slack = 0.0 if self.whole else 1e-9 * abs(value)
        if low - slack <= value <= high + slack:
            return min(max(value, low), high)
        if not twin.clips:
            raise ScpiError(-222)
        upper = value > high
        twin.error(-222, f"value clipped to {'upper' if upper else 'lower'} limit")
        return high if upper else low

    def _meant(self, twin: Owner, setting: Setting, n: int, word: str) -> float:
        low, high = self.range(twin, n)
        if word == "DEF":
            return float(setting.initial(twin, n))
        if word in ("MIN", "MAX"):
            return low if word == "MIN" else high
        return float(twin.settings.get(setting.name, n)) + (self.step if word == "UP" else -self.step)

    def asked(self, twin: Owner, setting: Setting, n: int, sent: Any) -> Any:  # noqa: D102
        if sent is None:
            return twin.settings.get(setting.name, n)
        return self._meant(twin, setting, n, sent)

    def spelled(self, twin: Owner, value: Any) -> str:  # noqa: D102
        if self.reply is not None:
            return self.reply(value)
        return f"{int(value):+d}" if self.whole and abs(value) < 2**63 else twin.number(float(value))


@dataclass(frozen=True)
class Switch(Kind):
    """On or off, answered 1 or 0."""

    def parameter(self) -> Parameter:  # noqa: D102
        return OnOff()

    def spelled(self, twin: Owner, value: Any) -> str:  # noqa: D102
        return "1" if value else "0"


@dataclass(frozen=True)
class Choice(Kind):
    """One of some words; answered in the short form.

    Attributes
    ----------
    words : tuple of str
        With short and long form: ``NORMal``.
    also : mapping of str to str
        Other words for some of them, short form -> short form of the word that is kept.
    """

    words: tuple[str, ...] = ()
    also: Mapping[str, str] = field(default_factory=dict)

    def parameter(self) -> Parameter:  # noqa: D102
        return OneOf(words=(*self.words, *self.also))

    def taken(self, twin: Owner, setting: Setting, n: int, sent: Any) -> Any:  # noqa: D102
        shorts = {"".join(c for c in word if not c.islower()): kept for word, kept in self.also.items()}
        return shorts.get(sent, sent)


@dataclass(frozen=True)
class Words(Kind):
    """A name or text, answered in quotes."""

    longest: int = 255
    quoted: bool = True

    def parameter(self) -> Parameter:  # noqa: D102
        return Name(longest=self.longest)

    def spelled(self, twin: Owner, value: Any) -> str:  # noqa: D102
        return '"' + str(value).replace('"', '""') + '"' if self.quoted else str(value)


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes
    ----------
    name : str
        What the twin calls it.
    headers : str or tuple of str
        Its header, or several that mean the same; marks as in :mod:`drivers.simulated.twins.scpi_table`.
    kind : Kind
    default : value, or callable ``default(twin, n)``
        After power-on and ``*RST``.
    then : callable, optional
        ``then(twin, n, old)`` acts on a new value; it may raise ScpiError, which puts the old one back.
    reads, writes : callable, optional
        ``reads(twin, n)`` and ``writes(twin, n, value)`` of a setting that is another view of others.
    keeps : bool
        ``*RST`` leaves it.
    most : tuple of int
        Largest numbers of the marked nodes, where they are not the table's.
    shared : bool
        One for the whole instrument, whatever numbers are sent.
    """

    name: str
    headers: str | tuple[str, ...]
    kind: Kind
    default: Any
    then: Callable[[Any, int, Any], None] | None = None
    reads: Callable[[Any, int], Any] | None = None
    writes: Callable[[Any, int, Any], None] | None = None
    keeps: bool = False
    most: tuple[int, ...] = ()
    shared: bool = False

    def initial(self, twin: Owner, n: int) -> Any:
        """Return the default of channel `n`."""
        return self.default(twin, n) if callable(self.default) else self.default

    def commands(self, twin: Owner) -> list[TwinCommand]:
        """Return its command and its query, once per header."""
        found = []
        for header in (self.headers,) if isinstance(self.headers, str) else self.headers:

            def put(call: Call, sent: Any) -> None:
                n = self._place(call)
                twin.settings.change(self, n, self.kind.taken(twin, self, n, sent))

            def ask(call: Call, sent: Any = None) -> str:
                n = self._place(call)
                return self.kind.spelled(twin, self.kind.asked(twin, self, n, sent))

            found.append(TwinCommand(header, put, (self.kind.parameter(),), most=self.most))
            found.append(TwinCommand(f"{header}?", ask, self.kind.asking(), most=self.most))
        return found

    def _place(self, call: Call) -> int:
        return 1 if self.shared else call.channel


class Settings:
    """The values of all settings of a twin, by name and channel.

    Parameters
    ----------
    twin : Owner
    rows : iterable of Setting
    """

    def __init__(self, twin: Owner, rows: list[Setting]) -> None:
        self._twin = twin
        self.rows = {row.name: row for row in rows}
        self._values: dict[tuple[str, int], Any] = {}

    def get(self, name: str, n: int = 1) -> Any:
        """Return a value."""
        reads = self.rows[name].reads
        if reads is not None:
            return reads(self._twin, n)
        key = (name, n)
        if key not in self._values:
            self._values[key] = self.rows[name].initial(self._twin, n)
        return self._values[key]

    def put(self, name: str, value: Any, n: int = 1) -> None:
        """Store a value; nothing acts on it."""
        self._values[name, n] = value

    def change(self, row: Setting, n: int, value: Any) -> None:
        """Store a value and let the twin act on it."""
        old = self.get(row.name, n)
        if row.writes is not None:
            row.writes(self._twin, n, value)
        else:
            self._values[row.name, n] = value
        if row.then is not None:
            try:
                row.then(self._twin, n, old)
            except ScpiError:
                if row.writes is None:
                    self._values[row.name, n] = old
                raise
        self._twin.changed(row.name, n)

    def reset(self) -> None:
        """Bring every setting that ``*RST`` touches to its default."""
        self._values = {
            (name, n): value for (name, n), value in self._values.items() if self.rows[name].keeps
        }

    def saved(self) -> dict[tuple[str, int], Any]:
        """Return all values that ``*RST`` touches, for ``*SAV``."""
        return {key: value for key, value in self._values.items() if not self.rows[key[0]].keeps}

    def recall(self, saved: Mapping[tuple[str, int], Any]) -> None:
        """Take saved values back."""
        self.reset()
        self._values.update(saved)
