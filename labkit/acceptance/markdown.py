"""The rows as tables of a manual page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.acceptance.page import sources_of, summary_of
from labkit.acceptance.suite import GROUPS

if TYPE_CHECKING:
    from labkit.acceptance.row import Row
    from labkit.acceptance.suite import Acceptance

__all__ = ["tables"]


def tables(found: Acceptance, *, heading: str = "") -> str:
    """Return all rows as Markdown, one table for each group, and the sources, below a heading of their own."""
    lines = [f"### {heading}", ""] if heading else []
    lines += [f"{summary_of(found)}.", ""]
    level = "####" if heading else "###"
    for letter, title in GROUPS.items():
        if rows := found.group(letter):
            lines += [f"{level} {title}", "", *_table(rows), ""]
    lines += [f"{level} Sources of the expected numbers", "", "| rows | status | source |", "|---|---|---|"]
    lines += [f"| {ids} | {status} | {_cell(source)} |" for ids, status, source in sources_of(found.rows)]
    return "\n".join(lines) + "\n"


def _table(rows: list[Row]) -> Iterator[str]:
    yield "| row | quantity | conditions | status | expected | accepted | measured | 95 % interval | verdict |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        verdict = f"{row.verdict}: {row.note}" if row.note and row.verdict != "ok" else str(row.verdict)
        cells = (
            row.id, row.quantity, row.conditions, str(row.status), row.expected_text, row.tolerance_text,
            row.measured_text, row.interval_text, verdict,
        )  # fmt: skip
        yield f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\u00a0", " ")
