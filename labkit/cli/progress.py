"""Progress on stderr: a bar with the time left on a terminal, now and then a line everywhere else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from labkit.progress import Progress
from labkit.report.wording import age, percent

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Bars", "Lines", "progress", "working"]

_QUIET_S = 2.0  # nobody needs to be told of anything shorter
_EVERY_S = 10.0


class _Shown(Progress, Protocol):
    """Progress that can be taken off the screen."""

    def drop(self) -> None:
        """Stop showing, without a word: the work has failed."""


@contextmanager
def progress() -> Iterator[Progress]:
    """Show progress on stderr while the block lasts."""
    from labkit.cli.output import stderr

    shown: _Shown = Bars(stderr()) if _on_terminal() else Lines(_line)
    try:
        yield shown
    except BaseException:
        shown.drop()
        raise
    shown.finish()


@contextmanager
def working(title: str) -> Iterator[None]:
    """Show on a terminal that something of unknown length is under way."""
    from labkit.cli.output import stderr

    if not _on_terminal():
        yield
        return
    with stderr().status(f"{title} ...", spinner_style="cyan"):
        yield


def _on_terminal() -> bool:
    from labkit.cli.output import stderr

    return sys.stderr.isatty() and not stderr().is_dumb_terminal


def _line(text: str) -> None:
    from labkit.cli.output import stderr

    stderr().print(text, markup=False, soft_wrap=True)


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
        if now < self._due or not self._title:
            return
        self._due = now + _EVERY_S
        share = done / self._total if self._total > 0 else 0.0
        said = [percent(min(share, 1.0), 0)]
        if 0 < share < 1:
            said.append(f"about {age((now - self._began) * (1 / share - 1))} left")
        self._write(f"{self._title}: {', '.join((*said, note) if note else said)}")

    def finish(self) -> None:
        """Write a last line where there was time for a first one, and where nothing went wrong."""
        if _failing():
            self.drop()
        took_s = self._now() - self._began
        if self._title and took_s >= _QUIET_S:
            self._write(f"{self._title}: {', '.join(filter(None, (f'done in {_took(took_s)}', self._note)))}")
        self.drop()

    def drop(self) -> None:
        """Forget the piece of work."""
        self._title = ""


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
        from rich.progress import BarColumn, SpinnerColumn, TaskProgressColumn, TextColumn
        from rich.progress import Progress as Bar

        self.finish()
        self._title, self._note, self._began = title, "", self._now()
        self._bar = Bar(
            SpinnerColumn(style="cyan"),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            TaskProgressColumn(),
            _time_left(),
            TextColumn("{task.fields[note]}", style="dim"),
            console=self._console,
            transient=True,
        )
        self._bar.add_task(title, total=total, note="")
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

        self._console.print(
            Text.assemble(
                ("✓ ", "green"),
                self._title,
                (f"  {_took(self._now() - self._began)}", "dim"),
                (f"  {self._note}" if self._note else "", "dim"),
            )
        )

    def drop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _failing() -> bool:
    """Whether an exception is on its way: work is told to finish in the ``finally`` of whoever does it."""
    return sys.exception() is not None


def _took(seconds: float) -> str:
    return age(round(seconds, 1)) if seconds >= 0.1 else age(0.1)


def _time_left() -> Any:
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class TimeLeft(ProgressColumn):
        max_refresh = 0.5

        def render(self, task: Task) -> Text:
            left_s = task.time_remaining
            return Text(
                "" if left_s is None or task.finished else f"{age(max(left_s, 1.0))} left", style="cyan"
            )

    return TimeLeft()
