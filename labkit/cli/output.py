"""What commands print: tables and sentences for people, one JSON object for scripts."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["examples", "facts", "grid", "print_json", "say", "shown_path", "stderr", "stdout", "tell"]


def examples(*commands: str) -> str:
    """Return the end of a help page that shows how a command is used."""
    return "\n\n".join(("[bold]Examples[/]" if len(commands) > 1 else "[bold]Example[/]", *commands))


@cache
def _console(to_stderr: bool) -> Console:
    from rich.console import Console

    class Quiet(Console):
        """Leaves a broken pipe to the end of the command."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

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


def tell(message: str) -> None:
    """Print an error on stderr, where there still is one."""
    from rich.text import Text

    with suppress(OSError):
        stderr().print(Text.assemble(("labkit: ", "bold red"), message), soft_wrap=True)


def print_json(content: Mapping[str, Any]) -> None:
    """Print the one object a command with ``--json`` prints."""
    from labkit.manifest import plain

    sys.stdout.write(json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def facts(rows: Sequence[tuple[str, str]]) -> Table:
    """Return a table of names and values without any lines."""
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 2), pad_edge=True)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    return table


def grid(*columns: str, title: str | None = None) -> Table:
    """Return an empty table with a line under its headings."""
    from rich import box
    from rich.table import Table

    return Table(
        *columns,
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        border_style="dim",
        box=box.SIMPLE_HEAD,
        padding=(0, 1),
    )
