"""The report: every figure that the run has data for, a sentence for every one it has not."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_run import AGES, G_MAX_S, bare_run, fake_run

from labkit.report import write_report
from labkit.report.evidence import Cells, gather
from labkit.report.plots_loop import PulseMap
from labkit.report.statistics import level_edges, level_statistics
from labkit.report.wording import age, percent, quantity, significant
from labkit.runs import Run

ROOT = Path(__file__).resolve().parents[2]
EVERY = ["residuals", "error-by-target", "convergence", "pulses", "drift", "accuracy"]
NBSP = "\u00a0"


def report(path: Path, **options: Any) -> str:
    run = fake_run(path, **{"cells": 4000, "rows": 64, "cols": 64, **options})
    return write_report(run).read_text("utf-8")


def figures(page: str) -> list[str]:
    return re.findall(r'<figure id="([^"]*)"', page)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fake_run(tmp_path_factory.mktemp("runs") / "run", cells=20_000, rows=160, cols=128)


@pytest.fixture(scope="module")
def page(run: Run) -> str:
    return write_report(run).read_text("utf-8")


# ---------------------------------------------------------------- the page


def test_a_whole_run_gives_every_figure(page: str) -> None:
    assert figures(page) == EVERY
    assert "Not in this report" not in page
    assert "did not finish" not in page


def test_the_page_needs_no_network(page: str) -> None:
    without_names = re.sub(r'xmlns(:xlink)?="[^"]*"', "", page)
    assert "http" not in without_names
    assert "//cdn" not in without_names
    assert "<script" not in page
    assert "<link" not in page
    assert "url(" not in re.sub(r"url\(#[^)]*\)", "", page)


def test_every_figure_is_well_formed_and_named(page: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(drawings) == len(EVERY)
    identifiers: list[str] = []
    for drawing in drawings:
        element = ET.fromstring(drawing)  # noqa: S314 - our own text
        assert element.get("role") == "img"
        assert len(element.get("aria-label", "")) > 50
        assert "<text" in drawing
        assert "nan" not in re.sub(r"[a-z]nan|nan[a-z]|xlink:href=\"data:[^\"]*\"", "", drawing)
        own = re.findall(r'\bid="([^"]*)"', drawing)
        used = re.findall(r'(?:url\(#|href="#)([^)"]*)', drawing)
        assert set(used) <= set(own)
        identifiers += own
    assert len(identifiers) == len(set(identifiers))


def test_axes_carry_units(page: str) -> None:
    for label in (
        "read \u2212 target (µS)",
        "standard deviation (µS)",
        "target conductance (µS)",
        "cells converged (%)",
        "rms verify error (µS)",
        "conductance (µS)",
        "age since the last pulse",
        "test accuracy (%)",
        "row (word line)",
    ):
        assert f">{label}</text>" in page


def test_colours_follow_the_page(page: str) -> None:
    for drawing in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        assert "var(--ink, #1b1f24)" in drawing
        assert not re.search(r"(?<!, )#1b1f24", drawing)
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def test_the_summary_is_that_of_an_independent_read(run: Run, page: str) -> None:
    cells, read = run.table("cells"), run.table("reads/0000")
    good = cells["converged"] & (cells["target_s"] > 0) & (read["flags"] == 0)
    error = read["g_s"].astype(float)[good] - cells["target_s"][good]
    rms = float(np.sqrt(np.mean(error**2)))
    assert f"{significant(1e6 * rms)}{NBSP}µS rms" in page
    assert percent(rms / G_MAX_S, 2) in page
    assert f"{int(cells['converged'].sum()):,} of 20,000 cells" in page


def test_provenance_is_complete(run: Run, page: str) -> None:
    for text in (
        "SN0042",
        "mock bench",
        "weights.npz",
        "ibm90",
        "simulated chip",
        run.manifest["versions"]["numpy"],
    ):
        assert text in page
    assert f"<td>25{NBSP}µS</td>" in page
    assert f"<td>460{NBSP}µA</td>" in page
    assert all(f"<td>{name}</td>" in page for name in run.tables() if name.startswith("reads/"))


def test_text_of_the_run_cannot_become_markup(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    run = fake_run(tmp_path / "a<b>&c", cells=500, rows=32, cols=32)
    run.update_manifest(settings={"note": evil, evil: 1.0}, status=evil)
    page = write_report(run).read_text("utf-8")
    assert "<script" not in page
    assert "a<b>" not in page
    assert "&lt;script&gt;" in page


def test_a_second_report_replaces_the_first_and_nothing_else_is_left(tmp_path: Path) -> None:
    run = fake_run(tmp_path / "run", cells=500, rows=32, cols=32)
    first = write_report(run)
    assert first == run.path / "report.html"
    run.update_manifest(station={"name": "another bench"})
    assert "another bench" in write_report(run).read_text("utf-8")
    assert not [path for path in run.path.rglob("*") if path.name.startswith(".")]


def test_the_same_run_gives_the_same_page(run: Run, page: str) -> None:
    assert write_report(run).read_text("utf-8") == page


# ---------------------------------------------------------------- runs that lack something


@pytest.mark.parametrize(
    ("options", "missing", "sentence"),
    [
        ({"skip": ["passes"]}, ["convergence"], "no record of the passes"),
        ({"skip": ["reads"]}, ["residuals", "error-by-target", "drift"], "never read again"),
        ({"skip": ["cells"]}, ["residuals", "error-by-target", "pulses", "drift"], "no table of cells"),
        ({"ages": AGES[:1]}, ["drift"], "at one age only"),
        ({"card": {"name": "mine"}}, [], "no readable device card"),
        ({"card": {}}, [], "no readable device card"),
    ],
)
def test_what_is_missing_is_said(
    tmp_path: Path, options: dict[str, Any], missing: list[str], sentence: str
) -> None:
    page = report(tmp_path / "run", **options)
    assert figures(page) == [name for name in EVERY if name not in missing]
    assert sentence in page


def test_a_run_without_images_has_no_accuracy_and_does_not_miss_it(tmp_path: Path) -> None:
    page = report(tmp_path / "run", images=False)
    assert figures(page) == EVERY[:-1]
    assert "Not in this report" not in page


def test_an_empty_run_still_has_a_report(tmp_path: Path) -> None:
    run = bare_run(tmp_path / "run")
    page = write_report(run).read_text("utf-8")
    assert figures(page) == []
    assert "no programmed cells" in page
    assert "did not finish" in page


def test_a_damaged_table_costs_only_its_own_figures(tmp_path: Path) -> None:
    run = fake_run(tmp_path / "run", cells=2000, rows=64, cols=64)
    (run.path / "reads" / "0002.parquet").write_bytes(b"PAR1")
    (run.path / "passes.parquet").write_bytes(b"")
    page = write_report(run).read_text("utf-8")
    assert figures(page) == [name for name in EVERY if name != "convergence"]
    assert "reads/0002 is damaged" in page
    assert "passes is damaged" in page
    assert "in 4 reads" in page


def test_a_read_of_another_length_is_left_out(tmp_path: Path) -> None:
    run = fake_run(tmp_path / "run", cells=2000, rows=64, cols=64)
    run.write_table("reads/0009", {"g_s": np.ones(7, np.float32), "age_s": np.ones(7, np.float32)})
    assert "reads/0009 has 7 rows for 2,000 cells" in write_report(run).read_text("utf-8")


def test_an_interrupted_run_says_so(tmp_path: Path) -> None:
    assert "its status is \u201cinterrupted\u201d" in report(tmp_path / "run", status="interrupted")


@pytest.mark.parametrize(
    "options",
    [
        {"cells": 1, "levels": 1, "rows": 1, "cols": 1},
        {"cells": 2, "rows": 2, "cols": 2},
        {"cells": 60, "levels": 1},
        {"cells": 3300, "levels": 11},
        {"cells": 4000, "levels": 40},
        {"cells": 3000, "rows": 32, "cols": 32, "banks": 3},
        {"cells": 3000, "rows": 8, "cols": 512, "banks": 5},
        {"cells": 3000, "rows": 3000, "cols": 1},
        {"ages": ((25.0, "a"), (40.0, "b"))},
    ],
)
def test_small_and_odd_arrays_are_drawn(tmp_path: Path, options: dict[str, Any]) -> None:
    assert {"convergence", "pulses"} <= set(figures(report(tmp_path / "run", **options)))


@pytest.mark.parametrize("converged", [True, False])
@pytest.mark.parametrize("target_s", [0.0, 10e-6])
def test_uniform_cells_are_drawn(tmp_path: Path, converged: bool, target_s: float) -> None:
    run = fake_run(tmp_path / "run", cells=100, rows=16, cols=16, skip=["cells", "reads"])
    run.write_table(
        "cells",
        {
            "cell": np.arange(100, dtype=np.uint32),
            "target_s": np.full(100, target_s, np.float32),
            "programmed": np.ones(100, bool),
            "pulses": np.ones(100, np.uint32),
            "converged": np.full(100, converged),
        },
    )
    for age_s in (25.0, 2500.0):
        run.add_read(
            g_s=np.full(100, 9e-6),
            flags=np.zeros(100),
            t_ns=np.zeros(100),
            age_s=np.full(100, age_s),
            nominal_age_s=age_s,
            label="",
            setup={},
        )
    assert ("residuals" in figures(write_report(run).read_text("utf-8"))) == converged


# ---------------------------------------------------------------- numbers


def test_unusable_readings_and_unprogrammed_cells_do_not_count(tmp_path: Path) -> None:
    run = fake_run(tmp_path / "run", cells=6, rows=4, cols=4, skip=["cells", "reads"], images=False)
    programmed = np.array([True, True, True, True, True, False])
    run.write_table(
        "cells",
        {
            "cell": np.arange(6, dtype=np.uint32),
            "target_s": np.full(6, 1e-6, np.float32),
            "programmed": programmed,
            "pulses": np.arange(6, dtype=np.uint32),
            "converged": np.ones(6, bool),
        },
    )
    run.add_read(
        g_s=np.array([1e-6, 2e-6, 3e-6, 4e-6, 5e-6, 6e-6]),
        flags=np.array([0, 1, 2, 4, 8, 0]),
        t_ns=np.zeros(6),
        age_s=np.full(6, 25.0),
        nominal_age_s=25.0,
        label="",
        setup={},
    )
    evidence = gather(run)
    assert evidence.cells is not None
    assert evidence.cells.pulses.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(evidence.reads[0].g_s, [1e-6, np.nan, 3e-6, np.nan, np.nan], rtol=1e-6)


def test_spread_and_its_interval_are_right_for_other_than_normal_errors() -> None:
    rng = np.random.default_rng(3)
    levels, per_level, trials = 8, 400, 60
    target = np.repeat(np.arange(1, levels + 1) * 1e-6, per_level).astype(np.float32)
    truth = np.repeat(np.arange(1, levels + 1) * 0.1e-6, per_level)
    edges = level_edges(target, 8e-6)
    pulls = []
    for _ in range(trials):
        # Laplace: kurtosis 6, so the interval of a normal would be too narrow by a factor 1.6.
        residual = truth * rng.laplace(0, 1 / np.sqrt(2), truth.size)
        found = level_statistics(target, residual, edges)
        assert found.n.tolist() == [per_level] * levels
        pulls.append(
            (found.std_s / (0.1e-6 * np.arange(1, levels + 1)) - 1) / (found.std_error_s / found.std_s)
        )
    assert abs(np.mean(pulls)) < 0.35
    assert 0.9 < np.std(pulls) < 1.25


def test_levels_are_told_from_continuous_targets() -> None:
    few = level_edges(np.array([0, 1, 1, 3], np.float32) * np.float32(1e-6), 25e-6)
    np.testing.assert_allclose(few, [0.5e-6, 2e-6, 4.5e-6], rtol=1e-6)
    many = level_edges(np.linspace(0, 25e-6, 1000, dtype=np.float32), 25e-6)
    assert many[0] == 0.0
    assert many[-1] >= np.float32(25e-6)
    np.testing.assert_allclose(np.diff(many), many[1])


def cells_at(index: list[int], pulses: list[int], converged: list[bool]) -> Cells:
    count = len(index)
    return Cells(
        np.array(index, np.uint32),
        np.ones(count, np.float32),
        np.array(pulses, np.uint32),
        np.array(converged),
    )


def test_the_map_puts_every_cell_in_its_place() -> None:
    rows, cols = 3, 5
    index = (1 * rows + 2) * cols + 4
    content = PulseMap(cells_at([0, index], [7, 9], [True, False]), banks=2, rows=rows, cols=cols)
    assert content.factor == 1
    assert content.pulses[0, 0, 0] == 7
    assert content.pulses[1, 2, 4] == 9
    assert np.count_nonzero(np.isfinite(content.pulses)) == 2
    assert np.argwhere(content.unconverged).tolist() == [[1, 2, 4]]


def test_large_arrays_are_averaged_over_programmed_cells() -> None:
    cols = 2047
    content = PulseMap(
        cells_at([0, 1, cols + 1, 2 * cols], [1, 2, 6, 5], [True] * 4), banks=1, rows=2047, cols=cols
    )
    assert content.factor == 2
    assert content.pulses.shape == (1, 1024, 1024)
    assert content.pulses[0, 0, 0] == 3
    assert content.pulses[0, 1, 0] == 5
    assert np.count_nonzero(np.isfinite(content.pulses)) == 2


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("g_max_s", 25e-6, "25 µS"),
        ("verify_target_s", 1e-7, "100 nS"),
        ("verify_age_s", 2.0, "2 s"),
        ("margin_s", 5e-7, "500 nS"),
        ("width_max_s", 1e-3, "1 ms"),
        ("wait_s", 3600, "1 h"),
        ("current_max_a", 460e-6, "460 µA"),
        ("offset_v", -0.02, "\u221220 mV"),
        ("temperature_k", 300.0, "300 K"),
        ("seed", 2020, "2020"),
        ("budget", 100_000, "100,000"),
        ("simulated", True, "yes"),
        ("serial", None, "\u2013"),
    ],
)
def test_settings_are_worded_with_their_unit(key: str, value: Any, text: str) -> None:
    assert quantity(key, value).replace(NBSP, " ") == text


def test_only_all_is_all() -> None:
    assert percent(1.0) == f"100{NBSP}%"
    assert percent(0.9999) == f"> 99.9{NBSP}%"
    assert percent(0.00001) == f"< 0.1{NBSP}%"
    assert percent(0.0) == f"0{NBSP}%"
    assert percent(0.5) == f"50.0{NBSP}%"


def test_ages_are_worded() -> None:
    spans = (2.5e-6, 25.0, 90.0, 3600.0, 86_400.0, 2_629_800.0)
    assert [age(seconds).replace(NBSP, " ") for seconds in spans] == [
        "2.5 µs",
        "25 s",
        "1.5 min",
        "1 h",
        "1 d",
        "30.4 d",
    ]


# ---------------------------------------------------------------- cost


def test_the_report_is_imported_late_and_leaves_pyplot_alone(tmp_path: Path) -> None:
    fake_run(tmp_path / "run", cells=500, rows=32, cols=32)
    code = (
        "import json, sys; import labkit.report; before = 'matplotlib' in sys.modules;"
        "from labkit.runs import Run; labkit.report.write_report(Run.open(sys.argv[1]));"
        "print(json.dumps([before, 'matplotlib.pyplot' in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path / "run")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [False, False]


@pytest.mark.slow
def test_four_hundred_thousand_cells_take_seconds(tmp_path: Path) -> None:
    run = fake_run(tmp_path / "run")
    start = time.process_time()
    path = write_report(run)
    assert time.process_time() - start < 6.0
    assert path.stat().st_size < 3_000_000
