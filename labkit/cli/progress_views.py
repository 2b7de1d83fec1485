"""The two ways progress is shown.

Work at a bench never ends because nobody can be told of it: a screen or pipe that is gone is borne in silence.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from labkit.progress import Progress
from labkit.report.wording import age, percent

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Bars", "Lines", "View"]

_QUIET_S = 2.0  # nobody needs to be told of anything shorter
_EVERY_S = 10.0


class View(Progress, Protocol):
    """Progress that can be taken off the screen."""

    def drop(self) -> None:
        """Stop showing, without a word: the work has failed."""


class Lines:
    """Plain lines: the first after two seconds, then one every ten.

    Parameters
    ----------
    write : callable
        Takes a line.
    now : callable
        Seconds, on any clock that only goes forward.
    """

    def __init__(self, write: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self._write, self._now = write, now
        self._title = ""
        self._total = 0
        self._note = ""
        self._began = self._due = 0.0

    def start(self, title: str, total: int) -> None:
        """Begin a piece of work."""
        self.finish()
        self._title, self._total, self._note = title, total, ""
        self._began = self._now()
        self._due = self._began + _QUIET_S

    def advance(self, done: int, note: str = "") -> None:
        """Write a line where one is due."""
        now = self._now()
        self._note = note
        if now < self._due or not self._title or done >= self._total > 0:
            return
        self._due = now + _EVERY_S
        share = done / self._total if self._total > 0 else 0.0
        left = f"about {_rounded((now - self._began) * (1 / share - 1))} left" if 0 < share < 1 else ""
        self._say(percent(min(share, 1.0), 0), left, note)

    def finish(self) -> None:
        """Write a last line where there was time for a first one, and where nothing went wrong."""
        took_s = self._now() - self._began
        if self._title and took_s >= _QUIET_S and not _failing():
            self._say(f"done in {_rounded(took_s)}", self._note)
        self.drop()

    def drop(self) -> None:
        """Forget the piece of work."""
        self._title = ""

    def _say(self, *said: str) -> None:
        with suppress(OSError):
            self._write(f"{self._title}: {', '.join(filter(None, said))}")


class Bars:
    """Bars on a terminal, each replaced by a line when its work is done.

    Parameters
    ----------
    console : rich.console.Console
        Of the terminal.
    now : callable
        Seconds, on any clock that only goes forward.
    """

    def __init__(self, console: Console, now: Callable[[], float] = time.monotonic) -> None:
        self._console, self._now = console, now
        self._bar: Any = None
        self._title = self._note = ""
        self._began = 0.0

    def start(self, title: str, total: int) -> None:
        """Show a new bar."""
        self.finish()
        self._title, self._note, self._began = title, "", self._now()
        self._bar = _bar(self._console)
        self._bar.add_task(title, total=total, note="")
        with suppress(OSError):
            self._bar.start()

    def advance(self, done: int, note: str = "") -> None:
        """Move the bar."""
        self._note = note
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, note=note)

    def finish(self) -> None:
        """Replace the bar by a line that stays, where nothing went wrong."""
        shown = self._bar is not None
        self.drop()
        if not shown or _failing():
            return
        from rich.text import Text

        details = "  ".join(filter(None, ("", _rounded(self._now() - self._began), self._note)))
        with suppress(OSError):
            self._console.print(Text.assemble(("✓ ", "green"), self._title, ("  " + details, "dim")))

    def drop(self) -> None:
        """Take the bar away."""
        bar, self._bar = self._bar, None
        if bar is not None:
            with suppress(OSError):
                bar.stop()


def _failing() -> bool:
    """Whether an exception is on its way: work is told to finish in the ``finally`` of whoever does it."""
    return sys.exception() is not None


def _rounded(seconds: float) -> str:
    return age(max(round(seconds), 1))


def _bar(console: Console) -> Any:
    from rich.progress import BarColumn, ProgressColumn, SpinnerColumn, Task, TaskProgressColumn, TextColumn
    from rich.progress import Progress as RichProgress
    from rich.text import Text

    class TimeLeft(ProgressColumn):
        max_refresh = 0.5

        def render(self, task: Task) -> Text:
            left_s = None if task.finished else task.time_remaining
            return Text("" if left_s is None else f"{_rounded(left_s)} left", style="cyan")

    return RichProgress(
        SpinnerColumn(style="cyan"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        TaskProgressColumn(),
        TimeLeft(),
        TextColumn("{task.fields[note]}", style="dim"),
        console=console,
        transient=True,
    )
