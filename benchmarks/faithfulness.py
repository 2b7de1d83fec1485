"""Run the acceptance tables and write them, with their figures, into the manual page on how faithful the mock is.

    python benchmarks/faithfulness.py            the page and docs/images/acceptance-*.png

Two minutes on two cores. The numbers change only with the mock, the cards or the seed.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg

from calibration import DeviceCard
from labkit.acceptance import Acceptance, check_card
from labkit.acceptance.markdown import tables
from labkit.acceptance.plots import draw
from labkit.acceptance.row import Verdict
from labkit.cli.progress import progress
from labkit.report.style import style

DOCS = Path(__file__).resolve().parent.parent / "docs"
PAGE = DOCS / "explanation" / "how-faithful-is-the-mock.md"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
CARDS = (("ibm90", "TPEC"), ("st90", "S"))
"""Presets, and the groups of rows that the page shows of each."""


def rows_of(found: Acceptance, groups: str) -> Acceptance:
    kept = [row for row in found.rows if row.id[0] in groups and row.verdict is not Verdict.DOES_NOT_APPLY]
    return Acceptance(found.card, kept, found.evidence, found.seed, found.quick, found.seconds)


def save_figures(found: Acceptance) -> None:
    with style():
        for figure, canvas in draw(found.card, found.evidence):
            FigureCanvasAgg(canvas)
            canvas.savefig(DOCS / "images" / f"acceptance-{figure.name}.png", dpi=150, facecolor="white")


def main() -> int:
    parts, missed = [], 0
    for name, groups in CARDS:
        only = [] if groups == "TPEC" else [f"S{k}" for k in range(1, 8)]
        with progress() as shown:
            found = check_card(DeviceCard.load(name), only=only, progress=shown)
        if not only:
            save_figures(found)
        missed += found.count[Verdict.MISS]
        command = f"labkit card check {name} --markdown"
        parts.append(f"Written by `benchmarks/faithfulness.py`, as `{command}` prints them.\n")
        parts.append(tables(rows_of(found, groups), heading=f"Preset `{name}`"))
    text = PAGE.read_text("utf-8")
    block = f"{BEGIN}\n\n" + "\n".join(parts) + f"\n{END}"
    PAGE.write_text(re.sub(rf"{BEGIN}.*{END}", lambda _: block, text, flags=re.DOTALL), "utf-8")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
