"""``labkit demo`` in an empty folder, whole."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from cli_process import answer, labkit, refused

ROOT = Path(__file__).resolve().parents[2]
LABELS = ["25 s", "1 h", "1 d", "7 d", "30.4 d"]


def test_the_shipped_bench_is_the_example() -> None:
    shipped = ROOT / "labkit" / "data" / "mock.yaml"

    assert shipped.read_bytes() == (ROOT / "examples" / "mock.yaml").read_bytes()


def test_the_demonstration_needs_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    found = answer(labkit("demo", "--seed", "7", "--json", cwd=tmp_path))

    folder = tmp_path / "demo"
    assert {path.name for path in tmp_path.iterdir()} == {"demo"}
    assert (found["bench"], found["run"]) == (str(folder / "mock.yaml"), str(folder / "run"))
    assert Path(found["report"]).is_file()
    assert yaml.safe_load((folder / "mock.yaml").read_text())["instruments"]["chip"]["simulated"]["seed"] == 7
    assert found["cells"] == 397_520
    assert found["converged_fraction"] > 0.99
    assert 0.0 < found["error_rms_fraction_of_gmax"] < 0.1
    assert found["accuracy_software"] > 0.97
    assert [read["label"] for read in found["reads"]] == LABELS
    for read in found["reads"]:
        assert 0.95 < read["accuracy_plain"] < 1
        assert found["accuracy_software"] - read["accuracy_compensated"] < 0.01

    refused(
        labkit("demo", "--out", "demo", cwd=tmp_path), 1, str(folder), "never overwritten", "--out demo-2"
    )


@pytest.mark.slow
def test_what_the_demonstration_prints_and_a_year_later(tmp_path: Path) -> None:
    done = labkit("demo", "--out", "elsewhere/try", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    report = tmp_path / "elsewhere" / "try" / "run" / "report.html"
    assert report.is_file()
    assert done.stdout.splitlines()[-1] == str(report)
    assert "397,520" in done.stdout
    rows = [line.strip() for line in done.stdout.splitlines()]
    assert [
        label for label in LABELS if any(row.startswith(f"{label} ") and "%" in row for row in rows)
    ] == LABELS
    assert "labkit read elsewhere/try/run --at 1y" in done.stdout

    later = answer(labkit("read", "elsewhere/try/run", "--at", "1y", "--json", cwd=tmp_path))["reads"]
    assert [read["label"] for read in later] == ["1 y"]
    assert 0.9 < later[0]["accuracy_compensated"] < 1
