"""What commands print: tables and sentences for people, one JSON object for scripts."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = [
    "ReaderGone",
    "discard_stdout",
    "examples",
    "facts",
    "flush",
    "grid",
    "print_json",
    "remark",
    "say",
    "shown_path",
    "stderr",
    "stdout",
    "tell",
]


class ReaderGone(BrokenPipeError):  # noqa: N818 - the name says what happened
    """Whoever read our output went away; nothing is left to be said to him."""


def examples(*commands: str) -> str:
    """Return the end of a help page that shows how a command is used."""
    return "\n\n".join(("[bold]Examples[/]" if len(commands) > 1 else "[bold]Example[/]", *commands))


@cache
def _console(to_stderr: bool) -> Console:
    from rich.console import Console

    class Quiet(Console):
        """Does not end the program by itself."""

        def on_broken_pipe(self) -> None:
            raise ReaderGone

    return Quiet(stderr=to_stderr, highlight=False, emoji=False)


def stdout() -> Console:
    """Return the console of what a command is asked for."""
    return _console(False)


def stderr() -> Console:
    """Return the console of errors and progress."""
    return _console(True)


def say(text: str = "", style: str | None = None) -> None:
    """Print a line on stdout as it is: a long one is never cut or wrapped."""
    stdout().print(text, style=style, markup=False, soft_wrap=True)


def shown_path(path: Path) -> str:
    """Return a path as short as it can be typed here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (ValueError, OSError):  # elsewhere, or here is no longer
        return str(path)


def remark(text: str) -> None:
    """Print a line on stderr, where there still is one."""
    with suppress(OSError):
        stderr().print(text, markup=False, soft_wrap=True)


def tell(message: str) -> None:
    """Print an error on stderr, where there still is one."""
    from rich.text import Text

    with suppress(OSError):
        stderr().print(Text.assemble(("labkit: ", "bold red"), message), soft_wrap=True)


def print_json(content: Mapping[str, Any]) -> None:
    """Print the one object a command with ``--json`` prints."""
    from labkit.manifest import plain

    text = json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    try:
        sys.stdout.write(text + "\n")
    except BrokenPipeError:
        raise ReaderGone from None
    flush()


def flush() -> None:
    """Bring what was printed to its reader.

    Raises
    ------
    ReaderGone
        There is none any more.
    OSError
        The disk behind stdout is full.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise ReaderGone from None


def discard_stdout() -> None:
    """Send what is still buffered nowhere: it would raise again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def facts(rows: Sequence[tuple[str, str]]) -> Table:
    """Return a table of names and values without any lines."""
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2), pad_edge=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return table


def grid(*columns: str) -> Table:
    """Return an empty table with a line under its headings."""
    from rich import box
    from rich.table import Table

    return Table(
        *columns,
        header_style="dim",
        border_style="dim",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
    )
