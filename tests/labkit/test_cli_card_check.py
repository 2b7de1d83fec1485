"""``labkit card check``: what it prints, writes and returns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_process import answer, labkit, refused

import labkit.acceptance.suite as suite
from calibration import DeviceCard
from labkit.acceptance import Acceptance
from labkit.acceptance.markdown import tables
from labkit.acceptance.page import write_page
from labkit.acceptance.row import Expected, Measured, Status
from labkit.acceptance.subject import Reference, Subject
from labkit.cli import main

CARD = DeviceCard.load("ibm90")


def test_rows_are_printed_with_their_verdict() -> None:
    done = labkit("card", "check", "ibm90", "--only", "t5,C1", "--quick")

    assert done.returncode == 0, done.stderr
    assert "T5" in done.stdout
    assert "C1" in done.stdout
    assert "T3" not in done.stdout
    assert "3 of 3 rows hold" in done.stdout


def test_json_has_every_row_in_si_units() -> None:
    found = answer(labkit("card", "check", "ibm90", "--only", "T3,P10", "--quick", "--json"))

    assert found["ok"] is True
    assert found["name"] == "ibm90"
    assert found["count"] == {"ok": 5, "miss": 0, "explained": 0, "does not apply": 0}
    peak = found["rows"][0]
    assert peak["id"] == "T3"
    assert peak["unit"] == "S"
    assert peak["expected"] == pytest.approx(1.086e-6)
    assert peak["low"] < peak["measured"] < peak["high"]
    assert peak["status"] == "derived"
    assert "aihwkit" in peak["source"]


def test_only_the_file_is_checked_where_that_is_asked_for() -> None:
    done = labkit("card", "check", "ibm90", "--file-only")

    assert done.returncode == 0
    assert "is a sound device card" in done.stdout


def test_an_unknown_row_is_a_usage_error() -> None:
    assert "T1, T2" in labkit("card", "check", "ibm90", "--only", "X1").stderr
    refused(labkit("card", "check", "ibm90", "--only", "X1"), 2, "--only", "X1")


@pytest.mark.parametrize(
    ("options", "option"),
    [
        (["--file-only", "--html", "page.html"], "--file-only"),
        (["--file-only", "--only", "T3"], "--file-only"),
        (["--json", "--markdown"], "--markdown"),
        (["--html", "."], "--html"),
    ],
)
def test_options_that_could_not_be_kept_are_refused_before_anything_is_simulated(
    options: list[str], option: str
) -> None:
    refused(labkit("card", "check", "ibm90", *options), 2, option)


def test_a_bad_card_is_refused_before_anything_is_simulated(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("schema: labkit-device-card/1\nname: bad\n", "utf-8")

    done = labkit("card", "check", path)

    assert done.returncode == 1
    assert "g_max" in done.stderr


def some(value: float) -> Acceptance:
    """One row with this measured value where 1 is expected, one that is explained, one that does not apply."""
    subject = Subject(CARD)
    reference = Reference(1.0, Status.DERIVED, "a <source> & more")
    rows = [
        subject.row(
            "T1",
            "a|b",
            "under <conditions>",
            reference,
            Expected.within(1.0, relative=0.1),
            Measured(value, 0.01),
        ),
        subject.unreachable("P1", "what", "when", reference, note="it cannot be reached"),
        subject.absent("S1", "another chip", "the card is another one"),
    ]
    return Acceptance(CARD, rows, {}, seed=1, quick=False, seconds=3.0)


def test_a_missed_row_gives_exit_code_1_and_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(suite, "check_card", lambda *_, **__: some(1.5))
    page = tmp_path / "page.html"
    with pytest.raises(SystemExit) as ended:
        main(["card", "check", "ibm90", "--html", str(page), "--json"])
    assert ended.value.code == 1
    assert json.loads(capsys.readouterr().out)["ok"] is False
    assert "Missed without an explanation" in page.read_text("utf-8")


def test_explained_rows_do_not_fail_a_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(suite, "check_card", lambda *_, **__: some(1.05))
    with pytest.raises(SystemExit) as ended:
        main(["card", "check", "ibm90"])
    assert ended.value.code in (0, None)
    printed = capsys.readouterr().out
    assert "it cannot be reached" in printed
    assert "the card is another one" in printed


def test_the_page_is_self_contained_and_escapes_what_it_shows(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_page(some(1.05), path)
    text = path.read_text("utf-8")
    assert "under &lt;conditions&gt;" in text
    assert "a &lt;source&gt; &amp; more" in text
    assert "<script" not in text
    assert "http://" not in text.replace("http://www.w3.org/", "")
    assert "https://" not in text


def test_markdown_has_one_line_for_each_row() -> None:
    text = tables(some(1.05))
    (line,) = [line for line in text.splitlines() if line.startswith("| T1 |")]
    assert "a\\|b" in line
    assert line.endswith("| ok |")
    (line,) = [line for line in text.splitlines() if line.startswith("| P1 |")]
    assert line.endswith("| explained: it cannot be reached |")


def test_a_quick_check_draws_its_figures(tmp_path: Path) -> None:
    from labkit.acceptance import check_card

    found = check_card(CARD, quick=True, only=["T1", "T6", "P1", "P11", "C6"])
    path = tmp_path / "page.html"
    write_page(found, path)
    text = path.read_text("utf-8")
    for name in ("pulses", "drift", "error", "temperature"):
        assert f'<figure id="{name}">' in text
    assert '<figure id="noise">' not in text, "nothing was measured for it"
    assert text.count("<svg") == 4
