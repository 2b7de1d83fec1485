"""A whole job: all is checked first, all that is known is kept, errors come from an independent read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_run import fake_run
from melt_chip import BORN_NS, CARD, LIMITS, MeltChip, MeltStation, bench_file
from toy_chip import ToyError

from drivers.chip import State
from labkit.errors import (
    EnvelopeExceeded,
    Interrupted,
    RunExists,
    StationError,
    TooManyCells,
    WearBudgetSpent,
    WeightsError,
)
from labkit.judge import NetworkJudge
from labkit.mapping import WeightMap
from labkit.network import Perceptron
from labkit.program_run import program_run
from labkit.programming import ProgramSettings, SettingsError
from labkit.report import write_report
from labkit.runs import Run

RNG = np.random.default_rng(8)
LAYERS = {"hidden": RNG.normal(0, 0.4, (13, 20)), "out": RNG.normal(0, 0.4, (21, 5))}
IMAGES = RNG.random((300, 12)).astype(np.float32)


def judge() -> NetworkJudge:
    return NetworkJudge(Perceptron, IMAGES, Perceptron(LAYERS).predict(IMAGES))


def run_on(chip: MeltChip, folder: Path, *, envelope: Any = None, **options: Any) -> Run:
    given: dict[str, Any] = {
        "card": CARD,
        "settings": ProgramSettings(passes_max=30),
        "out": folder / "run",
        "inputs": {"weights": "net.npz"},
    }
    with MeltStation(chip, bench_file(folder, **(envelope or {}))) as station:
        return program_run(station, options.pop("layers", LAYERS), **{**given, **options})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("job")


@pytest.fixture(scope="module")
def chip() -> MeltChip:
    return MeltChip(32, 48)


@pytest.fixture(scope="module")
def run(folder: Path, chip: MeltChip) -> Run:
    return Run.open(run_on(chip, folder, ages_s=[3600.0, 25.0, 25.0], judge=judge()).path)


# ---------------------------------------------------------------- what a run holds


def test_the_tables_are_those_the_report_is_written_for(run: Run, tmp_path: Path) -> None:
    model = fake_run(tmp_path / "model", cells=200, rows=16, cols=16)
    assert run.tables() == ["accuracy", "cells", "passes", "reads/0000", "reads/0001"]
    for name in ("cells", "passes", "reads/0000", "accuracy"):
        ours, wanted = run.table(name), model.table(name)
        assert set(wanted.columns) <= set(ours.columns)
        for column in wanted.columns:
            assert ours[column].dtype.kind == wanted[column].dtype.kind, (name, column)
    assert set(run.table("cells").columns) - set(model.table("cells").columns) == {"pulsed_unix_ns"}
    page = write_report(run).read_text("utf-8")
    assert page.count("<figure") == 5
    assert "No target has 50 converged cells" in page  # the only thing that is missing
    assert page.count("<li>") == 1


def test_the_manifest_says_what_was_asked_for_with_what_and_how_it_ended(run: Run, chip: MeltChip) -> None:
    manifest = run.manifest
    assert manifest["status"] == "finished"
    assert manifest["geometry"] == {"banks": 1, "rows": 32, "cols": 48}
    assert manifest["settings"]["g_max_s"] == 25e-6
    assert manifest["settings"]["read_range_a"] == 1e-5
    assert manifest["settings"]["ages_s"] == [25.0, 3600.0]
    assert manifest["card"] == CARD.to_dict()
    assert manifest["inputs"] == {"weights": "net.npz"}
    assert manifest["station"]["identities"]["chip"]["serial"] == "7"
    assert manifest["accuracy_software"] == 1.0
    assert [layer["name"] for layer in manifest["layers"]] == ["hidden", "out"]
    assert [(read["table"], read["label"]) for read in manifest["reads"]] == [
        ("reads/0000", "25 s"), ("reads/0001", "1 h"),
    ]  # fmt: skip
    assert manifest["programmed_unix_ns"] - BORN_NS == chip.pulsed_ns.max()
    assert manifest["board_pulses"] == chip.counted.sum()


def test_cells_say_what_was_done_to_them(run: Run, chip: MeltChip) -> None:
    cells = run.table("cells")
    index = cells["cell"].to_numpy()
    assert len(cells) == 2 * sum(layer.size for layer in LAYERS.values())
    np.testing.assert_array_equal(cells["pulses"], chip.counted[index])
    np.testing.assert_array_equal(cells["pulsed_unix_ns"], chip.pulsed_ns[index] + BORN_NS)
    assert cells["programmed"].all()
    assert set(cells["pulses"][cells["target_s"] == 0]) == {1}
    assert cells["layer"].dtype.categories.tolist() == ["hidden", "out"]
    small = cells["target_s"][(cells["target_s"] > 0)].min()
    assert small >= 0.01 * 25e-6


def test_errors_are_those_of_the_first_independent_read(run: Run) -> None:
    cells, read, figures = run.table("cells"), run.table("reads/0000"), run.manifest["figures"]
    live = cells["target_s"].to_numpy() > 0
    good = live & cells["converged"].to_numpy()
    error = (read["g_s"].to_numpy(np.float64) - cells["target_s"])[good] / 25e-6
    assert figures["error_rms_fraction_of_gmax"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-6)
    accepted = (cells["accepted_s"] - cells["verify_target_s"])[good] / 25e-6
    assert figures["error_rms_fraction_of_gmax"] > 1.5 * np.sqrt(np.mean(accepted**2))
    assert figures["error_rms_at_t0_fraction_of_gmax"] < figures["error_rms_fraction_of_gmax"]
    assert figures["converged_fraction"] == pytest.approx(cells["converged"][live].mean())
    assert figures["zero_converged_fraction"] == pytest.approx(cells["converged"][~live].mean())
    assert figures["pulses_mean"] == pytest.approx(cells["pulses"][live].mean())
    assert figures["cells_nonzero"] + figures["cells_zero"] == figures["cells"] == len(cells)
    assert figures["passes"] == len(run.table("passes"))
    assert figures["messages"] > 4 * figures["passes"]


def test_ages_count_from_the_end_of_programming_and_each_cell_has_its_own(run: Run) -> None:
    cells = run.table("cells")
    for table, nominal_s in (("reads/0000", 25.0), ("reads/0001", 3600.0)):
        read = run.table(table)
        assert read["age_s"].min() == pytest.approx(nominal_s, abs=0.1)
        t_unix_ns = read["t_ns"].to_numpy(np.int64) + read.attrs["board_to_unix_ns"]
        np.testing.assert_allclose(read["age_s"], (t_unix_ns - cells["pulsed_unix_ns"]) * 1e-9, rtol=1e-6)
        assert read.attrs["lsb_s"] == pytest.approx(1e-5 / 256 / 0.2)
    latest = run.table("cells")["pulsed_unix_ns"].max()
    assert run.manifest["programmed_unix_ns"] == latest


def test_the_network_is_judged_with_and_without_compensation(run: Run) -> None:
    table = run.table("accuracy")
    assert table["label"].tolist() == ["25 s", "1 h"]
    found = WeightMap.of_run(run)
    weights = found.weights(run.table("reads/0001")["g_s"])
    assert table["accuracy_plain"][1] == pytest.approx(judge().accuracy(weights))
    assert 0.5 < table["accuracy_plain"][0] < 1.0
    first, later = (json.loads(text) for text in table["scales"])
    assert first == {"hidden": 1.0, "out": 1.0}
    assert all(1.1 < scale < 1.4 for scale in later.values())


def test_the_power_is_off_while_it_waits_and_afterwards(run: Run, chip: MeltChip) -> None:
    assert not chip.on
    assert chip.waited_on_s < 2.2 * run.manifest["figures"]["passes"] + 3


# ---------------------------------------------------------------- refused before anything happens


def no_accuracy(weights: Mapping[str, Any]) -> float:
    raise WeightsError("these layers are none of mine")


class Picky:
    accuracy = staticmethod(no_accuracy)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"layers": {"a": np.ones((50, 50))}}, TooManyCells),
        ({"layers": {"a": np.full((2, 2), np.nan)}}, WeightsError),
        ({"layers": {}}, WeightsError),
        ({"envelope": {"current_max": "300 uA"}}, EnvelopeExceeded),
        ({"settings": ProgramSettings(pulse_fall_s=1e-7)}, SettingsError),
        ({"ages_s": [25.0, -1.0]}, SettingsError),
        ({"ages_s": [float("nan")]}, SettingsError),
        ({"judge": Picky()}, WeightsError),
    ],
)
def test_what_cannot_work_is_refused_without_a_pulse_and_without_a_run(
    tmp_path: Path, options: dict[str, Any], error: type[Exception]
) -> None:
    chip = MeltChip(32, 48)
    with pytest.raises(error):
        run_on(chip, tmp_path, **options)
    assert chip.batches == []
    assert not chip.calls.get("power")
    assert not (tmp_path / "run").exists()


def test_a_chip_without_wear_budget_is_refused(tmp_path: Path) -> None:
    chip = MeltChip(32, 48)
    chip.counted[3] = 9
    with pytest.raises(WearBudgetSpent):
        run_on(chip, tmp_path, envelope={"pulses_per_cell_max": 9})
    assert chip.batches == []


def test_a_taken_name_is_refused_before_any_pulse(tmp_path: Path) -> None:
    chip = MeltChip(32, 48)
    (tmp_path / "run").mkdir()
    with pytest.raises(RunExists):
        run_on(chip, tmp_path)
    assert chip.batches == []
    assert not chip.calls.get("power")


def test_without_a_name_one_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = run_on(MeltChip(4, 4), tmp_path, layers={"a": [[1.0, -1.0]]}, out=None, ages_s=())
    assert run.path.parent == tmp_path / "runs"
    assert run.manifest["status"] == "finished"
    assert "error_rms_fraction_of_gmax" not in run.manifest["figures"]
    assert run.tables() == ["cells", "passes"]


def test_weights_that_are_all_zero_are_reset_cells(tmp_path: Path) -> None:
    run = run_on(MeltChip(4, 4), tmp_path, layers={"a": np.zeros((2, 2))})
    assert run.manifest["figures"]["converged_fraction"] is None
    assert run.manifest["figures"]["zero_converged_fraction"] == 1.0
    assert run.manifest["figures"]["error_rms_fraction_of_gmax"] is None
    assert run.table("cells")["pulses"].tolist() == [1] * 8


def test_masked_cells_are_told_apart_and_a_chip_of_nothing_else_is_an_error(tmp_path: Path) -> None:
    chip = MeltChip(32, 48)
    chip.mask(np.arange(10, dtype=np.uint32))
    run = run_on(chip, tmp_path)
    cells = run.table("cells")
    assert cells["programmed"].to_numpy().tolist() == [False] * 10 + [True] * (len(cells) - 10)
    assert run.manifest["figures"]["cells_left_out"] == 10
    assert run.table("reads/0000")["age_s"].isna().sum() == 10
    assert sum(run.table("reads/0000").attrs["missing"].values()) == 10
    chip.mask(np.arange(32 * 48, dtype=np.uint32))
    with pytest.raises(StationError, match="mask forbids all"):
        run_on(chip, tmp_path, out=tmp_path / "none")


# ---------------------------------------------------------------- ended early


def at_batch(chip: MeltChip, number: int, moment: str, error: BaseException) -> Callable[[str], None]:
    def strike(name: str) -> None:
        if name == moment and len(chip.batches) == number:
            chip.during = lambda _: None
            raise error

    return strike


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Interrupted(), "interrupted"),
        (KeyboardInterrupt(), "interrupted"),
        (ToyError("link is gone"), "failed"),
    ],
)
def test_an_early_end_leaves_what_is_known_and_a_safe_chip(
    tmp_path: Path, error: BaseException, status: str
) -> None:
    chip = MeltChip(32, 48)
    chip.during = at_batch(chip, 3, "wait", error)
    with pytest.raises(type(error)) as caught:
        run_on(chip, tmp_path)
    run = Run.open(tmp_path / "run")
    assert caught.value.__notes__ == [f"what is known of the run is kept in {run.path}"]
    assert run.manifest["status"] == status
    assert run.manifest["error"].startswith(type(error).__name__)
    cells = run.table("cells")
    index = cells["cell"].to_numpy()
    np.testing.assert_array_equal(cells["pulses"], chip.counted[index])
    assert len(run.table("passes")) == 2
    assert run.manifest["figures"]["pulses_total"] == chip.counted.sum()
    assert run.manifest["programmed_unix_ns"] > BORN_NS
    assert not chip.on
    assert "did not finish" in write_report(run).read_text("utf-8")


@pytest.mark.parametrize("table", ["cells", "passes", "accuracy"])
def test_an_end_while_a_table_is_written_loses_no_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    write, struck = Run.write_table, []

    def interrupted(run: Run, name: str, *args: Any, **options: Any) -> None:
        if name == table and not struck:
            struck.append(name)
            raise Interrupted
        write(run, name, *args, **options)

    monkeypatch.setattr(Run, "write_table", interrupted)
    with pytest.raises(Interrupted):
        run_on(MeltChip(), tmp_path, judge=judge())
    run = Run.open(tmp_path / "run")
    assert run.manifest["status"] == "interrupted"
    assert {"cells", "passes"} <= set(run.tables())
    assert (table != "accuracy") or "accuracy" in run.tables()


def test_a_trip_is_a_failed_run_that_says_why(tmp_path: Path) -> None:
    chip = MeltChip(32, 48)
    chip.end_at[2] = (5, State.TRIP)
    with pytest.raises(StationError, match="trip"):
        run_on(chip, tmp_path)
    run = Run.open(tmp_path / "run")
    assert run.manifest["status"] == "failed"
    assert "after 5 of" in run.manifest["error"]
    np.testing.assert_array_equal(run.table("cells")["pulses"], chip.counted[run.table("cells")["cell"]])


def test_a_board_that_cannot_be_energised_leaves_an_empty_but_whole_run(tmp_path: Path) -> None:
    chip = MeltChip(32, 48)
    chip.during = at_batch(chip, 0, "outputs", ToyError("interlock open"))
    with pytest.raises(ToyError):
        run_on(chip, tmp_path)
    run = Run.open(tmp_path / "run")
    assert run.manifest["status"] == "failed"
    assert not run.table("cells")["programmed"].any()
    assert run.table("passes").empty
    assert "programmed_unix_ns" not in run.manifest
    write_report(run)


def test_a_failure_while_reading_back_keeps_cells_and_earlier_reads(tmp_path: Path) -> None:
    chip = MeltChip(32, 48)

    def strike(name: str) -> None:
        if name == "read" and (tmp_path / "run" / "reads" / "0000.parquet").exists():
            raise ToyError("link is gone")

    chip.during = strike
    with pytest.raises(ToyError):
        run_on(chip, tmp_path, ages_s=[25.0, 60.0], judge=judge())
    run = Run.open(tmp_path / "run")
    assert run.manifest["status"] == "failed"
    assert run.tables() == ["accuracy", "cells", "passes", "reads/0000"]
    assert len(run.table("accuracy")) == 1
    assert run.manifest["figures"]["error_rms_fraction_of_gmax"] > 0


def test_a_read_back_cut_short_is_no_table(tmp_path: Path) -> None:
    chip = MeltChip(32, 48)

    def cut(name: str) -> None:
        if (tmp_path / "run" / "cells.parquet").exists():
            chip.cut_read = 100

    chip.during = cut
    with pytest.raises(StationError, match="the read at 25 s was cut short"):
        run_on(chip, tmp_path)
    assert Run.open(tmp_path / "run").tables() == ["cells", "passes"]


def test_the_double_counts_in_memory_that_survives_a_boot() -> None:
    assert LIMITS.nonvolatile == ("CYCL",)
