"""``labkit report``."""

from __future__ import annotations

from labkit.cli.options import Json, RunFolder

__all__ = ["report"]


def report(
    run: RunFolder,
    as_json: Json = False,
) -> None:
    """Draw the report of a run, one HTML page.

    Its figures are inside, and an earlier report is replaced. The path of the
    page is printed.
    """
    from labkit.cli.output import print_json, say
    from labkit.cli.progress import working
    from labkit.report import write_report
    from labkit.runs import Run

    opened = Run.open(run)
    with working("Drawing the report"):
        page = write_report(opened)
    if as_json:
        print_json({"run": opened.path, "report": page})
    else:
        say(str(page))
