"""The command table of a twin: numbers behind any node of a header, and lists of values.

A node that may have a number is written with a mark, ``[:SOURce#]:VOLTage#:HIGH``; how far the numbers go, a command
says itself or the table does. The handler gets them all, 1 where none was sent (instruments §3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from drivers.simulated.scpi_commands import Command, bind, check
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.scpi_output import Piece
from drivers.simulated.scpi_parser import Token, Unit
from drivers.simulated.twins.scpi_values import Many

if TYPE_CHECKING:
    from drivers.simulated.twin import TwinLink

__all__ = ["Answer", "Call", "Found", "TwinCommand", "TwinTable", "Until", "arguments"]

Answer = str | list[Piece] | None
"""Reply of a handler: text, pieces with blocks, or nothing."""

_MNEMONIC_MAX = 12


@dataclass(frozen=True, slots=True)
class Call:
    """One command as it was sent.

    Attributes
    ----------
    link : TwinLink
        Where it came from.
    unit : Unit
    suffixes : tuple of int
        Numbers of the marked nodes, in the order of the header; 1 where none was sent.
    """

    link: TwinLink
    unit: Unit
    suffixes: tuple[int, ...]

    @property
    def channel(self) -> int:
        """The largest of the suffixes: the channel where only one node has it at a time."""
        return max(self.suffixes, default=1)


@dataclass(frozen=True, slots=True)
class Until:
    """What a handler returns to go on later: messages of the link wait meanwhile.

    Attributes
    ----------
    done : callable
        Whether it may go on; asked whenever an operation ends.
    resume : callable
        Returns the reply then, or raises ScpiError.
    """

    done: Callable[[], bool]
    resume: Callable[[], Answer] = lambda: None


@dataclass(frozen=True)
class TwinCommand(Command):
    """One command of a twin; its handler is called as ``handler(call, *values)``.

    Attributes
    ----------
    most : tuple of int
        Largest number of each marked node; missing ones are the table's.
    indefinite : bool
        Its reply is arbitrary text: another query in the message is -440.
    """

    most: tuple[int, ...] = ()
    indefinite: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """A command, the numbers of its nodes, and where the next unit starts from."""

    command: TwinCommand
    suffixes: tuple[int, ...]
    path: str


@dataclass(frozen=True, slots=True)
class _Spelled:
    command: TwinCommand
    marks: tuple[int, ...]
    """For each node of the spelling: which mark of the header it is, -1 none."""


class TwinTable:
    """All commands of a twin.

    Parameters
    ----------
    channels : int
        Largest number of a marked node whose command does not say another one.
    """

    def __init__(self, channels: int = 1) -> None:
        self.channels = channels
        self._spelled: dict[str, _Spelled] = {}

    def add(self, commands: Iterable[TwinCommand]) -> None:
        """Add commands; one that is spelled like an earlier one replaces it."""
        for command in commands:
            for spelling, marks in _marked_spellings(command.header):
                self._spelled[spelling] = _Spelled(command, marks)

    def headers(self) -> list[str]:
        """Return the header of every command, marks and optional nodes in it."""
        return sorted({spelled.command.header for spelled in self._spelled.values()})

    def find(self, unit: Unit, path: str) -> Found:
        """Return the command of a unit.

        Parameters
        ----------
        path : str
            Where a header without a leading colon starts.

        Raises
        ------
        ScpiError
            -113 unknown header, -114 known but for its numbers, -112 a node is too long, -102 malformed.
        """
        header = unit.header
        if header.startswith("*"):
            spelled = self._spelled.get(header.upper())
            if spelled is None:
                raise ScpiError(-113, _printable(header))
            return Found(spelled.command, (), path)
        absolute = header.startswith(":") or not path
        full = (header.removeprefix(":") if absolute else f"{path}:{header}").upper()
        query = "?" if full.endswith("?") else ""
        nodes = full.removesuffix("?").split(":")
        if not all(nodes):
            raise ScpiError(-102)
        bare = nodes  # some names end in a number of their own
        spelled = self._spelled.get(full)
        if spelled is None:
            bare = [node.rstrip("0123456789") for node in nodes]
            spelled = self._spelled.get(":".join(bare) + query)
        if spelled is None:
            raise ScpiError(
                -112 if any(len(node) > _MNEMONIC_MAX for node in bare) else -113, _printable(header)
            )
        return Found(spelled.command, self._suffixes(spelled, nodes, bare), ":".join(nodes[:-1]))

    def _suffixes(self, spelled: _Spelled, nodes: list[str], bare: list[str]) -> tuple[int, ...]:
        found = [1] * spelled.command.header.count("#")
        for node, name, mark in zip(nodes, bare, spelled.marks, strict=True):
            digits = node[len(name) :]
            if not digits:
                continue
            number = int(digits) if len(digits) <= _MNEMONIC_MAX else -1
            if mark < 0:
                most = 1
            else:
                stated = spelled.command.most
                most = stated[mark] if mark < len(stated) else self.channels
                found[mark] = number
            if not 1 <= number <= most:
                raise ScpiError(-114)
        return tuple(found)


def _printable(header: str) -> str:
    return header.encode("ascii", "replace").decode("ascii")


def arguments(command: TwinCommand, tokens: Sequence[Token]) -> list[Any]:
    """Return the values of a command's parameters, checked.

    Raises
    ------
    ScpiError
        -108 too many, -109 too few, or what a parameter says of its type and range.
    """
    parameters = command.parameters
    if parameters and isinstance(parameters[-1], Many):
        many = parameters[-1]
        repeated = max(len(tokens) - len(parameters) + 1, 0 if many.optional else 1)
        if repeated > many.most:
            raise ScpiError(-223)
        command = replace(command, parameters=parameters[:-1] + (many.of,) * repeated)
    return check(command, tokens, bind(command, tokens))


def _marked_spellings(header: str) -> Iterable[tuple[str, tuple[int, ...]]]:
    if header.startswith("*"):
        return [(header.upper(), ())]
    query = "?" if header.endswith("?") else ""
    spellings: list[tuple[list[str], tuple[int, ...]]] = [([], ())]
    mark = 0
    for name, optional, marked in _nodes(header.removesuffix("?")):
        number = mark if marked else -1
        mark += marked
        short = "".join(letter for letter in name if not letter.islower())
        forms = {short, name.upper()}
        longer = [([*names, form], (*marks, number)) for names, marks in spellings for form in sorted(forms)]
        spellings = longer + spellings if optional else longer
    return [(":".join(names) + query, marks) for names, marks in spellings if names]


def _nodes(header: str) -> Iterable[tuple[str, bool, bool]]:
    """Yield (name, optional, marked) of every node of a header."""
    depth = 0
    for part in header.replace("[", "\0[").replace(":", "\0").split("\0"):
        opened = part.startswith("[")
        depth += opened
        name = part.strip("[]")
        if name:
            yield name.rstrip("#"), depth > 0, name.endswith("#")
        depth -= part.count("]")
