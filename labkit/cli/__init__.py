"""The command ``labkit``.

One file per command; what a command works with is imported when it runs, so that ``labkit --help`` answers
at once.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from io import StringIO
from typing import Annotated, NoReturn

import typer

from labkit.cli.calibrate import calibrate_app
from labkit.cli.card import card_app
from labkit.cli.demo import demo
from labkit.cli.errors import guarded
from labkit.cli.output import examples, remark
from labkit.cli.program import program
from labkit.cli.read import read
from labkit.cli.report import report
from labkit.cli.simulate import simulate
from labkit.cli.station import station_app
from labkit.interrupts import interrupts

__all__ = ["app", "main"]

app = typer.Typer(
    name="labkit",
    help="Program, read and model phase-change-memory test chips, real or simulated.",
    epilog=examples("labkit demo", "labkit program weights.npz --station bench.yaml --out first"),
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if not wanted:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        typer.echo(f"labkit {version('pcm-labkit')}")
    except PackageNotFoundError:
        typer.echo("labkit, not installed: run from its source")
    raise typer.Exit


@app.callback()
def _options(
    _debug: Annotated[
        bool, typer.Option("--debug", help="Show where an error came from; may stand anywhere.")
    ] = False,
    _: Annotated[
        bool,
        typer.Option("--version", help="Print the version and end.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Take the options that stand before a command; :func:`main` acts on them."""


app.command(epilog=examples("labkit demo", "labkit demo --out try2 --seed 7"))(demo)
app.command(
    epilog=examples(
        "labkit program weights.npz --station bench.yaml --out first",
        "labkit program weights.npz --station bench.yaml --at 25s,1h --margin 0.3uS",
    )
)(program)
app.command(epilog=examples("labkit read first --at 1h,1d"))(read)
app.command(epilog=examples("labkit report first"))(report)
app.add_typer(station_app, name="station")
app.add_typer(calibrate_app, name="calibrate")
app.command(epilog=examples("labkit simulate bench.yaml --port 5025"))(simulate)
app.add_typer(card_app, name="card")


def main(words: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code.

    Parameters
    ----------
    words : sequence of str, optional
        The arguments; by default those of the process.
    """
    given = list(sys.argv[1:] if words is None else words)
    debug = "--debug" in given
    given = [word for word in given if word != "--debug"]
    _prepare_streams()
    _relay_the_mock()
    owes_signals = interrupts.install()
    try:
        status = guarded(lambda: _run(given), as_json="--json" in given, debug=debug)
    finally:
        if owes_signals:
            interrupts.restore()
    sys.exit(status)


class _Notes(logging.Handler):
    """Shows what a simulated chip has to say of itself."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print it on stderr."""
        remark(f"note: {record.getMessage()}")


def _relay_the_mock() -> None:
    mock = logging.getLogger("labkit.mock")
    mock.propagate = False
    mock.handlers = [_Notes()]


def _prepare_streams() -> None:
    """Let nothing that is printed end a command: neither a closed stream nor a "µS" in an old locale."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, StringIO())
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _run(words: list[str]) -> None:
    # Not command.main(), which turns a broken pipe and a signal into exit codes of its own.
    with typer.main.get_command(app).make_context("labkit", words) as context:
        context.command.invoke(context)
