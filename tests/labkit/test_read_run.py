"""Reading a run again in another session: the right chip, the right cells, the right ages, or nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_run import bare_run
from melt_chip import CARD, MeltChip, MeltStation, bench_file
from toy_chip import ToyError

from labkit.errors import RunError, StationError
from labkit.judge import NetworkJudge
from labkit.network import Perceptron
from labkit.program_run import program_run
from labkit.programming import ProgramSettings, SettingsError
from labkit.read_run import read_run
from labkit.report import write_report
from labkit.report.evidence import gather
from labkit.runs import Run

RNG = np.random.default_rng(4)
LAYERS = {"hidden": RNG.normal(0, 0.4, (13, 12)), "out": RNG.normal(0, 0.4, (13, 4))}
IMAGES = RNG.random((200, 12)).astype(np.float32)
DAY_S = 86_400.0
SETTINGS = ProgramSettings(passes_max=15)


def judge() -> NetworkJudge:
    return NetworkJudge(Perceptron, IMAGES, Perceptron(LAYERS).predict(IMAGES))


def programmed(chip: MeltChip, folder: Path, **options: Any) -> Run:
    with MeltStation(chip, bench_file(folder)) as station:
        made = program_run(
            station, LAYERS, card=CARD, settings=SETTINGS, inputs={}, **{"out": folder / "run", **options}
        )
    return Run.open(made.path)


def again(chip: MeltChip, run: Run, ages_s: Any, **options: Any) -> list[str]:
    with MeltStation(chip, bench_file(run.path.parent)) as station:
        return read_run(station, run, ages_s, **options)


def test_cells_are_read_at_their_ages_in_another_session(tmp_path: Path) -> None:
    chip = MeltChip()
    run = programmed(chip, tmp_path, ages_s=[25.0, 3600.0], judge=judge())
    chip.advance(5 * 3600.0)
    pulses = chip.counted.copy()
    assert again(chip, run, [10 * DAY_S, DAY_S], judge=judge()) == ["reads/0002", "reads/0003"]
    run = Run.open(run.path)
    cells = run.table("cells")
    for table, nominal_s in (("reads/0002", DAY_S), ("reads/0003", 10 * DAY_S)):
        read = run.table(table)
        assert read["age_s"].min() == pytest.approx(nominal_s, rel=1e-4)
        unix_ns = read["t_ns"].to_numpy(np.int64) + read.attrs["board_to_unix_ns"]
        np.testing.assert_allclose(read["age_s"], (unix_ns - cells["pulsed_unix_ns"]) * 1e-9, rtol=1e-6)
    high = cells["converged"] & (cells["target_s"] > 10e-6)
    kept = (run.table("reads/0003")["g_s"] / run.table("reads/0000")["g_s"])[high].median()
    assert kept == pytest.approx((10 * DAY_S / 60.0) ** -0.049, rel=0.05)
    np.testing.assert_array_equal(chip.counted, pulses)
    assert [entry["label"] for entry in run.manifest["reads"]] == ["25 s", "1 h", "1 d", "10 d"]
    assert run.manifest["status"] == "finished"


def test_later_judgements_join_the_earlier_ones_in_the_report(tmp_path: Path) -> None:
    chip = MeltChip()
    run = programmed(chip, tmp_path, judge=judge())
    again(chip, run, [DAY_S], judge=judge())
    again(chip, run, [30 * DAY_S], judge=judge())
    assert run.tables() == [
        "accuracy", "accuracy/0001", "accuracy/0002",
        "cells", "passes", "reads/0000", "reads/0001", "reads/0002",
    ]  # fmt: skip
    accuracy = gather(Run.open(run.path)).accuracy
    assert accuracy is not None
    assert accuracy["age_s"].tolist() == [25.0, DAY_S, 30 * DAY_S]
    growing = [json.loads(text)["hidden"] for text in accuracy["scales"]]
    assert growing[0] == 1.0 < growing[1] < growing[2]
    assert "30 d" in write_report(Run.open(run.path)).read_text("utf-8").replace("\u00a0", " ")


def test_a_damaged_judgement_is_left_out_and_said(tmp_path: Path) -> None:
    chip = MeltChip()
    run = programmed(chip, tmp_path, judge=judge())
    again(chip, run, [DAY_S], judge=judge())
    (run.path / "accuracy.parquet").write_bytes(b"PAR1")
    evidence = gather(Run.open(run.path))
    assert evidence.accuracy is not None
    assert evidence.accuracy["age_s"].tolist() == [DAY_S]
    assert any("accuracy is damaged" in gap for gap in evidence.gaps)


def test_without_a_judge_and_without_an_earlier_read_it_only_reads(tmp_path: Path) -> None:
    chip = MeltChip()
    run = programmed(chip, tmp_path, ages_s=())
    assert again(chip, run, [3600.0]) == ["reads/0000"]
    assert not [name for name in run.tables() if name.startswith("accuracy")]


def test_the_power_is_on_for_the_read_alone(tmp_path: Path) -> None:
    chip = MeltChip()
    run = programmed(chip, tmp_path)
    before_s = chip.waited_on_s
    again(chip, run, [DAY_S, 2 * DAY_S])
    assert chip.waited_on_s - before_s < 2.5
    assert not chip.on


def test_a_past_age_is_refused_with_the_age_the_cells_have(tmp_path: Path) -> None:
    chip = MeltChip()
    run = programmed(chip, tmp_path)
    chip.advance(2 * DAY_S)
    reads = len(chip.reads)
    with pytest.raises(RunError, match=r"an age of 1 d is past: .* are 2 d old .* ask for an age") as caught:
        again(chip, run, [30 * DAY_S, DAY_S])
    assert caught.value.numbers["age_s"] == pytest.approx(2 * DAY_S, rel=1e-3)
    assert len(chip.reads) == reads
    assert run.tables() == ["cells", "passes", "reads/0000"]


@pytest.mark.parametrize(
    ("ages_s", "error", "said"),
    [
        ([], RunError, "no age was asked for"),
        ([0.0], SettingsError, "an age of 0 s"),
        ([float("inf")], SettingsError, "an age of inf s"),
    ],
)
def test_ages_that_make_no_sense_are_refused(
    tmp_path: Path, ages_s: list[float], error: type[Exception], said: str
) -> None:
    chip = MeltChip()
    run = programmed(chip, tmp_path, ages_s=())
    with pytest.raises(error, match=said):
        again(chip, run, ages_s)


def test_another_chip_is_refused(tmp_path: Path) -> None:
    chip = MeltChip()
    run = programmed(chip, tmp_path)
    chip.serial = "8"
    with pytest.raises(StationError, match="programmed into MELT 7, and the bench has MELT 8"):
        again(chip, run, [DAY_S])
    with pytest.raises(StationError, match="another size"):
        again(MeltChip(64, 16), run, [DAY_S])
    fresh = MeltChip(seed=2)
    with pytest.raises(StationError, match="are those of another chip, or of an older state"):
        again(fresh, run, [DAY_S])
    assert fresh.reads == []


def test_cells_that_were_pulsed_since_are_refused(tmp_path: Path) -> None:
    chip = MeltChip()
    first = programmed(chip, tmp_path, out=tmp_path / "first")
    second = programmed(chip, tmp_path, out=tmp_path / "second")
    with pytest.raises(StationError, match="were pulsed since"):
        again(chip, first, [DAY_S])
    assert again(chip, second, [DAY_S]) == ["reads/0001"]


def test_a_run_that_never_pulsed_or_is_of_another_kind_is_refused(tmp_path: Path) -> None:
    chip = MeltChip()

    def interlock(name: str) -> None:
        if name == "outputs":
            raise ToyError("interlock")

    chip.during = interlock
    with pytest.raises(ToyError):
        programmed(chip, tmp_path)
    chip.during = lambda _: None
    with pytest.raises(RunError, match="before any cell was pulsed"):
        again(chip, Run.open(tmp_path / "run"), [DAY_S])
    other = bare_run(tmp_path / "other", kind="iv")
    with pytest.raises(RunError, match="no table 'cells'"):
        again(chip, other, [DAY_S])


def test_a_read_that_fails_keeps_those_before_it(tmp_path: Path) -> None:
    chip = MeltChip()
    run = programmed(chip, tmp_path)

    def strike(name: str) -> None:
        if name == "read" and "reads/0001" in run.tables():
            raise ToyError("link is gone")

    chip.during = strike
    with pytest.raises(ToyError):
        again(chip, run, [DAY_S, 2 * DAY_S], judge=judge())
    assert {"reads/0001", "accuracy/0001"} <= set(run.tables())
    assert "reads/0002" not in run.tables()
    assert not chip.on
