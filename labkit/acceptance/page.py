"""The acceptance page: one self-contained HTML file with the figures and every row."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.acceptance.row import Row, Verdict
from labkit.acceptance.suite import GROUPS, false_alarm_rate
from labkit.durable import write_whole
from labkit.report.template import rendered
from labkit.report.wording import age, count, significant

if TYPE_CHECKING:
    from labkit.acceptance.suite import Acceptance

__all__ = ["sources_of", "summary_of", "write_page"]


def write_page(found: Acceptance, path: Path) -> None:
    """Write the page of a check, replacing an earlier one.

    Raises
    ------
    DiskFull, RunError
        It could not be written; an earlier page is as it was.
    """
    from labkit.acceptance.plots import draw

    card = found.card
    text = rendered(
        "labkit.acceptance",
        name=card.name,
        description=card.description,
        created=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        summary=summary_of(found),
        tiles=[
            (count(found.count[Verdict.OK]), "rows hold", f"of {len(found.rows):,}"),
            (count(found.count[Verdict.EXPLAINED]), "explained", "with the argument beside them"),
            (count(found.count[Verdict.MISS]), "missed", "without an explanation"),
            (
                significant(false_alarm_rate(found.rows, quick=found.quick), 2),
                "false alarms expected",
                "per check, over all seeds",
            ),
        ],
        missed=[row for row in found.rows if row.verdict is Verdict.MISS],
        figures=[figure for figure, _ in draw(card, found.evidence)],
        groups=[(title, found.group(letter)) for letter, title in GROUPS.items() if found.group(letter)],
        sources=sources_of(found.rows),
    )
    write_whole(path, lambda file: file.write(text.encode()), replace=True)


def summary_of(found: Acceptance) -> str:
    """Return one sentence on what was found."""
    held = f"{found.count[Verdict.OK]} of {len(found.rows)} rows hold"
    formulas = sum(row.arithmetic and row.verdict is Verdict.OK for row in found.rows)
    said = [f"{held} ({formulas} of them arithmetic, without a chip)" if formulas else held]
    for verdict, words in (
        (Verdict.EXPLAINED, "explained"),
        (Verdict.MISS, "missed"),
        (Verdict.DOES_NOT_APPLY, "not for this card"),
    ):
        if found.count[verdict]:
            said.append(f"{found.count[verdict]} {words}")
    size = "reduced samples" if found.quick else "full samples"
    return f"{', '.join(said)}; {size}, seed {found.seed}, {age(max(found.seconds, 1.0))}"


def sources_of(rows: list[Row]) -> list[tuple[str, str, str]]:
    """Return the sources of the expected numbers: ids of the rows, status, source."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.source:
            ids = found.setdefault((str(row.status), row.source), [])
            if row.id not in ids:
                ids.append(row.id)
    return [(", ".join(ids), status, source) for (status, source), ids in found.items()]
