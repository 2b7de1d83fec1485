"""``labkit report`` of runs that exist, that do not, and where there is no room for it."""

from __future__ import annotations

import resource
from pathlib import Path

from cli_process import answer, labkit, refused
from fake_run import bare_run, fake_run


def small_run(path: Path) -> Path:
    return fake_run(path, cells=2000, rows=64, cols=64).path


def no_file_above_20_kb() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def test_the_report_is_drawn_and_its_path_is_printed(tmp_path: Path) -> None:
    run = small_run(tmp_path / "first")

    done = labkit("report", "first", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{run / 'report.html'}\n"
    assert "<html" in (run / "report.html").read_text("utf-8")


def test_with_json_the_paths_are_an_object(tmp_path: Path) -> None:
    run = bare_run(tmp_path / "empty")

    found = answer(labkit("report", run.path / "manifest.json", "--json"))

    assert found == {"run": str(run.path), "report": str(run.path / "report.html")}


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no run")

    refused(labkit("report", tmp_path), 1, "no run", "manifest.json")
    refused(labkit("report", tmp_path / "notes.txt"), 1, "no run")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_full_disk_keeps_the_earlier_report(tmp_path: Path) -> None:
    run = small_run(tmp_path / "first")
    (run / "report.html").write_text("the earlier one")

    done = labkit("report", run, preexec_fn=no_file_above_20_kb)

    refused(done, 5, "no room", "report.html")
    assert (run / "report.html").read_text() == "the earlier one"
    assert not list(run.glob(".*"))
