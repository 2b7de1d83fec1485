"""A declarative command table: headers in short and long form, typed parameters, path rules.

A parameter is checked in two steps, because the order of errors is part of the protocol: its type as soon as the
unit is read (-1xx), its range only after the right to send the command at all (controller-protocol §5.1).
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.scpi_parser import Token, TokenKind, Unit

__all__ = [
    "Bool",
    "Bytes",
    "Command",
    "CommandTable",
    "Float",
    "FloatOrWord",
    "Int",
    "Parameter",
    "Str",
    "Word",
    "bind",
    "check",
]

U32 = 0xFFFFFFFF
_U63 = 2**63 - 1


@dataclass(frozen=True)
class Parameter:
    """One typed parameter; subclasses say how it is read and which values it may have."""

    optional: bool = field(default=False, kw_only=True)
    default: Any = field(default=None, kw_only=True)

    def read(self, token: Token) -> Any:
        """Return the value; raises ScpiError -1xx where the spelling is of another type."""
        raise NotImplementedError

    def check(self, value: Any) -> Any:
        """Return the value where it is allowed; raises ScpiError -222 or -224."""
        return value


def _number(token: Token) -> str:
    if token.kind is TokenKind.WORD:
        raise ScpiError(-148)
    if token.kind is not TokenKind.NUMBER:
        raise ScpiError(-104)
    if token.suffix:
        raise ScpiError(-138)
    return token.text


@dataclass(frozen=True)
class Int(Parameter):
    """An integer from `low` to `high`; ``1E3`` is one, ``1.5`` is -104."""

    low: int = 0
    high: int = U32

    def read(self, token: Token) -> int:  # noqa: D102
        text = _number(token)
        if text.isdecimal():
            return int(text)
        value = Decimal(text)
        if value.is_zero():
            return 0
        if value.adjusted() > 40:  # far beyond any range; int() of it would never end
            return 10**40 if value > 0 else -(10**40)
        if value != value.to_integral_value():
            raise ScpiError(-104)
        return int(value)

    def check(self, value: int) -> int:  # noqa: D102
        if not self.low <= value <= self.high:
            raise ScpiError(-222)
        return value


@dataclass(frozen=True)
class Float(Parameter):
    """A finite float from `low` to `high`; `above` excludes the lower end; 0 is allowed too with `or_zero`."""

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    or_zero: bool = False

    def read(self, token: Token) -> float:  # noqa: D102
        return float(_number(token))

    def check(self, value: float) -> float:  # noqa: D102
        if self.or_zero and value == 0:
            return 0.0
        if not self.low <= value <= self.high or (self.above and value == self.low) or math.isinf(value):
            raise ScpiError(-222)
        return value


@dataclass(frozen=True)
class Word(Parameter):
    """One of a list of words, each with a short and a long form as in ``CURRent``."""

    words: tuple[str, ...] = ()

    def read(self, token: Token) -> str:  # noqa: D102
        if token.kind is not TokenKind.WORD:
            raise ScpiError(-104)
        return token.text

    def check(self, value: str) -> str:  # noqa: D102
        for word in self.words:
            if value.upper() in _forms(word):
                return _short(word)
        raise ScpiError(-224)


@dataclass(frozen=True)
class FloatOrWord(Parameter):
    """A float, or one of some words (``READ:RANG AUTO``)."""

    words: tuple[str, ...] = ()

    def read(self, token: Token) -> float | str:  # noqa: D102
        if token.kind is TokenKind.WORD:
            return token.text.upper()
        return float(_number(token))

    def check(self, value: float | str) -> float | str:  # noqa: D102
        if isinstance(value, str):
            if value not in self.words:
                raise ScpiError(-224)
        elif not (value > 0 and math.isfinite(value)):
            raise ScpiError(-222)
        return value


@dataclass(frozen=True)
class Bool(Parameter):
    """ON, OFF, 1 or 0."""

    def read(self, token: Token) -> str:  # noqa: D102
        if token.kind in (TokenKind.STRING, TokenKind.BLOCK):
            raise ScpiError(-104)
        return token.text.upper()

    def check(self, value: str) -> bool:  # noqa: D102
        if value in ("ON", "OFF"):
            return value == "ON"
        try:
            number = float(value)
        except ValueError:
            raise ScpiError(-224) from None
        if number not in (0.0, 1.0):
            raise ScpiError(-224)
        return number == 1.0


@dataclass(frozen=True)
class Str(Parameter):
    """A quoted string of `shortest` to `longest` characters."""

    shortest: int = 0
    longest: int = 255

    def read(self, token: Token) -> str:  # noqa: D102
        if token.kind is TokenKind.WORD:
            raise ScpiError(-148)
        if token.kind is not TokenKind.STRING:
            raise ScpiError(-104)
        return token.text

    def check(self, value: str) -> str:  # noqa: D102
        if not self.shortest <= len(value) <= self.longest:
            raise ScpiError(-222)
        return value


@dataclass(frozen=True)
class Bytes(Parameter):
    """A definite block; its contents reach the handler as a memoryview."""

    def read(self, token: Token) -> memoryview:  # noqa: D102
        if token.kind is TokenKind.WORD:
            raise ScpiError(-148)
        if token.kind is not TokenKind.BLOCK:
            raise ScpiError(-104)
        return token.data


Handler = Callable[..., Any]
Missing = str | Callable[..., Any]


@dataclass(frozen=True)
class Command:
    """One row of the command tree.

    Attributes
    ----------
    header : str
        Short form in capitals, optional nodes in brackets, ``?`` for a query: ``SYSTem:ERRor[:NEXT]?``.
    handler : callable
        Called as ``handler(connection, unit, *values)``; a query returns its reply.
    parameters : tuple of Parameter
    protected : bool
        Needs the right to control the instrument (-203).
    fitted : bool
        False answers -241.
    missing : str or callable
        What a query answers when it is refused by an execution error; a callable gets the values read.
    variants : dict, optional
        Parameters behind the first word, by that word.
    """

    header: str
    handler: Handler
    parameters: tuple[Parameter, ...] = ()
    protected: bool = False
    fitted: bool = True
    missing: Missing = "9.91E37"
    variants: dict[str, tuple[Parameter, ...]] | None = None

    @property
    def is_query(self) -> bool:
        """Whether the command answers."""
        return self.header.endswith("?")


def bind(command: Command, tokens: Sequence[Token]) -> list[Any]:
    """Read the tokens of a unit as the parameters of `command`, types only.

    Raises
    ------
    ScpiError
        -108 too many, -109 too few, or what the parameter says of its type.
    """
    parameters = _signature(command, tokens)
    if len(tokens) > len(parameters):
        raise ScpiError(-108)
    values = []
    for index, parameter in enumerate(parameters):
        if index < len(tokens):
            values.append(parameter.read(tokens[index]))
        elif parameter.optional:
            values.append(None)
        else:
            raise ScpiError(-109)
    return values


def check(command: Command, tokens: Sequence[Token], values: list[Any]) -> list[Any]:
    """Check the values of :func:`bind` against their ranges and fill in defaults (-222, -224)."""
    parameters = _signature(command, tokens)
    return [
        parameter.default if value is None else parameter.check(value)
        for parameter, value in zip(parameters, values, strict=True)
    ]


def _signature(command: Command, tokens: Sequence[Token]) -> tuple[Parameter, ...]:
    if command.variants is None:
        return command.parameters
    name = tokens[0].text.upper() if tokens and tokens[0].kind is TokenKind.WORD else ""
    extra = command.variants.get(name)
    # An unknown word is refused by its own check (-224); whatever follows it has no meaning.
    any_number = (Anything(optional=True),) * max(0, len(tokens) - 1)
    return command.parameters + (any_number if extra is None else extra)


@dataclass(frozen=True)
class Anything(Parameter):
    """A parameter nobody will look at."""

    def read(self, token: Token) -> Token:
        return token


def _short(word: str) -> str:
    return "".join(letter for letter in word if not letter.islower())


def _forms(word: str) -> tuple[str, str]:
    return _short(word), word.upper()


_NODE = re.compile(r"\[:?([A-Za-z]+):?\]|:?([A-Za-z]+)")


def _spellings(header: str) -> Iterable[str]:
    """All legal spellings of a header in capitals, without suffixes."""
    if header.startswith("*"):
        return [header.upper()]
    query = "?" if header.endswith("?") else ""
    nodes: list[tuple[str, ...]] = []
    for optional, plain in _NODE.findall(header.rstrip("?")):
        forms = set(_forms(optional or plain))
        nodes.append((*sorted(forms), "") if optional else tuple(sorted(forms)))
    return [":".join(filter(None, choice)) + query for choice in itertools.product(*nodes)]


class CommandTable:
    """All commands of an instrument, found by header and current path."""

    def __init__(self, commands: Iterable[Command]) -> None:
        self._commands: dict[str, Command] = {}
        for command in commands:
            for spelling in _spellings(command.header):
                if spelling in self._commands:
                    raise ValueError(f"two commands are spelled {spelling}")
                self._commands[spelling] = command

    def find(self, unit: Unit, path: str) -> tuple[Command, str]:
        """Return the command of a unit and the path the next unit starts from.

        Raises
        ------
        ScpiError
            -113 unknown header, -114 known but for its numeric suffix, -102 malformed.
        """
        header = unit.header
        if header.startswith("*"):
            command = self._commands.get(header.upper())
            if command is None:
                raise ScpiError(-113, header)
            return command, path
        absolute = header.startswith(":") or not path
        full = (header.removeprefix(":") if absolute else f"{path}:{header}").upper()
        command = self._commands.get(full)
        if command is None:
            if not all(full.rstrip("?").split(":")):
                raise ScpiError(-102)
            command = self._with_suffix(full, header)
        return command, full.rpartition(":")[0]

    def _with_suffix(self, full: str, header: str) -> Command:
        query = "?" if full.endswith("?") else ""
        nodes = full.rstrip("?").split(":")
        bare = [node.rstrip("0123456789") for node in nodes]
        command = self._commands.get(":".join(bare) + query)
        if command is None:
            raise ScpiError(-113, header)
        if any(node != name and int(node[len(name) :]) != 1 for node, name in zip(nodes, bare, strict=True)):
            raise ScpiError(-114)
        return command
