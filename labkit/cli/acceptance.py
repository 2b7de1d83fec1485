"""What ``labkit card check`` prints of the acceptance tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.acceptance.page import summary_of
from labkit.acceptance.row import Row, Verdict
from labkit.acceptance.suite import GROUPS, false_alarm_rate
from labkit.cli.output import grid, say, shown_path, stdout

if TYPE_CHECKING:
    from labkit.acceptance.suite import Acceptance

__all__ = ["content", "print_rows"]

_STYLES = {
    Verdict.OK: "green",
    Verdict.MISS: "bold red",
    Verdict.EXPLAINED: "yellow",
    Verdict.DOES_NOT_APPLY: "dim",
}


def content(found: Acceptance) -> dict[str, Any]:
    """Return the rows as plain data."""
    return {
        "ok": found.ok,
        "seed": found.seed,
        "quick": found.quick,
        "seconds": found.seconds,
        "count": {str(verdict): number for verdict, number in found.count.items()},
        "false_alarms_expected": false_alarm_rate(found.rows, quick=found.quick),
        "rows": [row.to_dict() for row in found.rows],
    }


def print_rows(found: Acceptance, html: Path | None) -> None:
    """Print a table for each group, then what is to be said of single rows, then the summary."""
    from rich.text import Text

    for letter, title in GROUPS.items():
        rows = [row for row in found.group(letter) if row.verdict is not Verdict.DOES_NOT_APPLY]
        if not rows:
            continue
        table = grid("", "what", "status", "expected", "accepted", "measured", "verdict")
        for row in rows:
            table.add_row(
                row.id,
                Text.assemble(row.quantity, ("\n" + row.conditions, "dim"))
                if row.conditions
                else row.quantity,
                Text(str(row.status), style="dim"),
                row.expected_text,
                row.tolerance_text,
                Text.assemble(row.measured_text, ("\n" + row.interval_text, "dim")),
                Text(str(row.verdict), style=_STYLES[row.verdict]),
            )
        say(title, style="bold")
        stdout().print(table)
    _print_notes(found.rows)
    say()
    say(f"{found.card.name}: {summary_of(found)}", style="bold" if found.ok else "bold red")
    if html is not None:
        say(f"figures and sources: {shown_path(html.absolute())}")


def _print_notes(rows: list[Row]) -> None:
    said: dict[str, list[str]] = {}
    for row in rows:
        if row.note and row.verdict in (Verdict.EXPLAINED, Verdict.DOES_NOT_APPLY):
            ids = said.setdefault(f"{row.verdict}: {row.note}", [])
            if row.id not in ids:
                ids.append(row.id)
    for note, ids in said.items():
        say(f"{', '.join(ids)} {note}", style="dim")
