"""The report page: one self-contained HTML file, no network access, written whole into the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labkit.durable import write_whole
from labkit.report.evidence import Evidence, gather
from labkit.report.figures import draw
from labkit.report.laws import laws_of
from labkit.report.template import rendered
from labkit.report.wording import age, bare, count, percent, quantity, rows, significant

if TYPE_CHECKING:
    from labkit.runs import Run

__all__ = ["write_report"]

_FINISHED = frozenset({"finished", "done", "complete", "completed", "ok"})
_SECTIONS = (
    ("Key figures as the run recorded them", "figures"),
    ("Settings", "settings"),
    ("Station", "station"),
    ("Array", "geometry"),
    ("Seeds", "seeds"),
    ("Inputs", "inputs"),
    ("Software", "versions"),
)
_LONG = frozenset({"station", "versions"})
"""Sections that are folded until somebody wants them."""


def write_report(run: Run) -> Path:
    """Write ``report.html`` into a run, replacing an earlier one.

    A run without some table still gets a report; the page says what is missing.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DiskFull, RunError
        It could not be written; an earlier report is as it was.
    """
    evidence = gather(run)
    card = evidence.section("card")
    laws = laws_of(card) if card else None
    if laws is None:
        evidence.gaps.append("The run holds no readable device card: no law is drawn beside the data.")
    figures = draw(evidence, laws)
    manifest = evidence.manifest
    text = rendered(
        "labkit.report",
        name=run.path.name,
        kind=manifest["kind"],
        created=str(manifest.get("created_utc", "")).replace("T", " ").replace("Z", " UTC"),
        status=manifest.get("status", "unknown"),
        finished=manifest.get("status") in _FINISHED,
        simulated=_says(evidence.section("station"), "simulated"),
        identity=_identity(evidence),
        summary=_summary(evidence),
        tiles=_tiles(evidence),
        gaps=evidence.gaps,
        figures=figures,
        sections=[
            *(
                (title, rows(_shown(evidence.section(key))), key in _LONG)
                for title, key in _SECTIONS
                if evidence.section(key)
            ),
            *([("Device card", _card_rows(card), False)] if card else []),
        ],
        reads=[
            (
                entry.get("table"),
                entry.get("label"),
                quantity("age_s", entry.get("nominal_age_s")),
                _setup(entry),
            )
            for entry in manifest.get("reads", [])
            if isinstance(entry, dict)
        ],
        manifest=json.dumps(manifest, indent=2, ensure_ascii=False),
    )
    path = run.path / "report.html"
    write_whole(path, lambda file: file.write(text.encode()), replace=True)
    return path


def _shown(content: dict[str, Any]) -> dict[str, Any]:
    """Leave out what stands elsewhere on the page: versions, and texts of many lines."""
    return {
        key: _shown(value) if isinstance(value, dict) else value
        for key, value in content.items()
        if key != "versions" and not (isinstance(value, str) and "\n" in value)
    }


def _summary(evidence: Evidence) -> str:
    cells = evidence.cells
    if cells is None:
        return "This run has no programmed cells to report on."
    done = int(np.count_nonzero(cells.converged))
    passes = f" in {count(len(evidence.passes))} passes" if evidence.passes is not None else ""
    said = [
        f"{count(done)} of {count(len(cells))} cells ({percent(done / len(cells), 2)}) met their verify "
        f"margin{passes}."
    ]
    if evidence.reads:
        read, rms = evidence.reads[0], _rms_s(evidence)
        if rms is not None:
            said.append(
                f"An independent read at an age of {age(read.median_age_s)} finds the converged cells with "
                f"non-zero targets {significant(1e6 * rms)}\u00a0µS rms away from them, "
                f"{percent(rms / evidence.g_max_s)} of full scale{_without_drift(evidence)}."
            )
    calibration = evidence.section("station").get("read_calibration")
    if isinstance(calibration, dict) and calibration.get("stale"):
        why = "; ".join(str(reason) for reason in calibration["stale"])
        said.append(f"Readings were corrected with a stale calibration: {why}.")
    return " ".join(said)


def _without_drift(evidence: Evidence) -> str:
    at_t0 = evidence.section("figures").get("error_rms_at_t0_fraction_of_gmax")
    return f" ({percent(at_t0)} once the mean drift is taken out)" if isinstance(at_t0, int | float) else ""


def _rms_s(evidence: Evidence) -> float | None:
    """Rms of first independent read minus target over the converged cells with non-zero targets, siemens."""
    cells = evidence.cells
    if cells is None or not evidence.reads:
        return None
    residual = (evidence.reads[0].g_s.astype(np.float64) - cells.target_s)[cells.converged & ~cells.zero]
    residual = residual[np.isfinite(residual)]
    return float(np.sqrt(np.mean(residual**2))) if residual.size else None


def _tiles(evidence: Evidence) -> list[tuple[str, str, str]]:
    """Key figures as (value, name, remark)."""
    figures = evidence.section("figures")
    tiles: list[tuple[str, str, str]] = []

    def add(key: str, name: str, remark: str, wording: Any) -> None:
        value = figures.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            tiles.append((wording(float(value)), name, remark))

    add("cells", "cells", "programmed", count)
    add("converged_fraction", "converged", "met the verify margin", lambda x: percent(x, 2))
    rms = _rms_s(evidence)
    if rms is not None:
        tiles.append((percent(rms / evidence.g_max_s, 2), "rms error", "of full scale, non-zero targets"))
    else:
        add("error_rms_fraction_of_gmax", "rms error", "of full scale", lambda x: percent(x, 2))
    add("pulses_mean", "pulses", "mean, non-zero targets", significant)
    accuracy = evidence.accuracy
    if accuracy is not None and not accuracy.empty and "accuracy_compensated" in accuracy:
        last = accuracy.sort_values("age_s").iloc[-1]
        software = evidence.manifest.get("accuracy_software")
        beside = (
            f"software {percent(float(software), 2)}" if isinstance(software, int | float) else "compensated"
        )
        tiles.append(
            (
                percent(float(last["accuracy_compensated"]), 2),
                f"accuracy at {age(float(last['age_s']))}",
                beside,
            )
        )
    add("passes", "passes", "of the verify loop", count)
    add("messages", "messages", "over the link", count)
    add("seconds", "duration", "of the host", age)
    return tiles


def _identity(evidence: Evidence) -> str:
    station, card = evidence.section("station"), evidence.section("card")
    found = [
        f"{word} {value}"
        for word, value in (
            ("chip serial", _find(station, "serial")),
            ("card", card.get("name")),
            ("bench", station.get("name") or _find(station, "name")),
        )
        if value
    ]
    return " · ".join(found)


def _card_rows(card: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the head of a card and the forms of its laws; all its numbers stand in the manifest."""
    head = {key: value for key, value in card.items() if not isinstance(value, dict)}
    scales = {
        key: value.get("value") for key, value in card.items() if isinstance(value, dict) and "value" in value
    }
    laws = card.get("laws")
    forms = (
        {key: law.get("form") for key, law in laws.items() if isinstance(law, dict)}
        if isinstance(laws, dict)
        else {}
    )
    return rows({**head, **scales, "laws": forms})


def _setup(entry: dict[str, Any]) -> str:
    setup = entry.get("setup")
    return ", ".join(f"{bare(key)} {value}" for key, value in rows(setup)) if isinstance(setup, dict) else ""


def _find(content: dict[str, Any], key: str) -> Any:
    if key in content:
        return content[key]
    inner = (_find(value, key) for value in content.values() if isinstance(value, dict))
    return next((value for value in inner if value is not None), None)


def _says(content: dict[str, Any], key: str) -> bool:
    return _find(content, key) is True
