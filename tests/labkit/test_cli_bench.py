"""``program``, ``read`` and ``station check`` on a small simulated bench, and everything they must refuse."""

from __future__ import annotations

import json
import re
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_process import COMMAND, answer, environment, labkit, refused, write_bench, write_weights

from calibration import DeviceCard
from labkit.runs import Run

ADDRESS = 'TCPIP0::pcm-mock::5025::SOCKET\n    backend: "@pcm"'


def pulses_given(state: Path) -> int:
    """Pulses the chip in a state file has had, all cells together."""
    if not state.exists():
        return 0
    with np.load(state) as arrays:
        return int(arrays["board/cycles"].sum())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def room_for(size: int) -> Any:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bench, weights, and the run ``first`` programmed with them; never changed by a test."""
    folder = tmp_path_factory.mktemp("bench")
    write_bench(folder)
    write_weights(folder)
    done = labkit("program", "weights.npz", "--station", "bench.yaml", "--out", "first", "--json", cwd=folder)
    (folder / "first.json").write_text(json.dumps(answer(done)))
    return folder


# ---- what goes well


def test_program_answers_with_the_figures_of_its_run(folder: Path) -> None:
    figures = json.loads((folder / "first.json").read_text())
    run = Run.open(folder / "first")

    assert figures["run"] == str(folder / "first")
    assert Path(figures["report"]).read_text("utf-8").startswith("<!doctype html>")
    for name in ("cells", "converged_fraction", "passes", "pulses_mean", "messages", "seconds"):
        assert figures[name] == run.manifest["figures"][name]
    assert figures["cells"] == 2 * (20 * 12 + 13 * 4)
    assert figures["converged_fraction"] > 0.9
    cells, read = run.table("cells"), run.table("reads/0000")
    good = cells.converged & (cells.target_s > 0)
    error_s = (read.g_s - cells.target_s)[good].astype(float)
    assert figures["error_rms_fraction_of_gmax"] == pytest.approx(
        np.sqrt((error_s**2).mean()) / 25e-6, rel=1e-3
    )
    assert run.manifest["inputs"]["weights"] == str(folder / "weights.npz")
    assert pulses_given(folder / "chip.state") >= run.table("cells").pulses.sum() > 0


def test_program_takes_its_settings_and_says_what_it_found(tmp_path: Path) -> None:
    bench = write_bench(tmp_path, ("      state: chip.state\n", ""), ("card: ibm90", "card: own.yaml"))
    DeviceCard.load("ibm90").save(tmp_path / "own.yaml")
    np.savetxt(tmp_path / "layer.csv", np.linspace(-1, 1, 40).reshape(8, 5), delimiter=",")

    done = labkit(
        *("program", "layer.csv", "--station", bench.name, "--out", "runs/a", "--at", "1h,25s"),
        *("--margin", "2uS", "--pulses-max", "3", "--verify-age", "3s", "--reads-per-pass", "2"),
        *("--pulse-width", "70ns"),
        cwd=tmp_path,
    )

    assert done.returncode == 0, done.stderr
    run = Run.open(tmp_path / "runs" / "a")
    settings, figures = run.manifest["settings"], run.manifest["figures"]
    asked = {
        "margin_s": 2e-6,
        "pulses_max": 3,
        "verify_age_s": 3.0,
        "reads_per_pass": 2,
        "pulse_top_s": 65e-9,
    }
    assert {name: settings[name] for name in asked} == pytest.approx(asked)
    assert settings["ages_s"] == [25.0, 3600.0]
    assert figures["passes"] <= 3
    rows = dict(
        re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in done.stdout.splitlines() if line[:2] == "  "
    )
    assert rows["cells"].startswith("80,")
    assert rows["passes"].startswith(str(figures["passes"]))
    assert f"{100 * figures['error_rms_fraction_of_gmax']:.2f}" in rows["error"]
    assert rows["card"] == "own.yaml, of the bench file"
    assert done.stdout.splitlines()[-1] == str(tmp_path / "runs" / "a" / "report.html")
    assert all(line.startswith("note: mock ibm90 extrapolates") for line in done.stderr.splitlines())


def test_cells_are_read_again_in_another_process_and_never_in_the_past(tmp_path: Path) -> None:
    bench, weights = write_bench(tmp_path), write_weights(tmp_path)
    answer(labkit("program", weights, "--station", bench, "--out", tmp_path / "first", "--json"))
    pulses = pulses_given(tmp_path / "chip.state")

    found = answer(labkit("read", tmp_path / "first", "--at", "1d,1h", "--json"))
    refused(labkit("read", tmp_path / "first", "--at", "1h"), 1, "1 h", "past")
    bench.rename(tmp_path / "moved.yaml")
    refused(labkit("read", tmp_path / "first", "--at", "1wk"), 4, "bench.yaml", "--station")
    shown = labkit("read", "first", "--at", "1wk", "--station", "moved.yaml", cwd=tmp_path)

    assert [read["nominal_age_s"] for read in found["reads"]] == [3600.0, 86_400.0]
    for read in found["reads"]:
        assert read["median_age_s"] == pytest.approx(read["nominal_age_s"], rel=0.1)
    errors = [read["error_rms_fraction_of_gmax"] for read in found["reads"]]
    assert 0 < errors[0] < errors[1]
    assert shown.returncode == 0, shown.stderr
    assert "7 d" in shown.stdout
    assert "labkit report first" in shown.stdout
    assert len(Run.open(tmp_path / "first").manifest["reads"]) == 4
    assert pulses_given(tmp_path / "chip.state") == pulses


def test_station_check_says_what_it_found(folder: Path) -> None:
    pulses = pulses_given(folder / "chip.state")

    shown = labkit("station", "check", "bench.yaml", cwd=folder)
    found = answer(labkit("station", "check", folder / "bench.yaml", "--json", "--instrument", "chip"))

    assert shown.returncode == 0, shown.stderr
    assert found["ok"] is True
    assert [check["name"] for check in found["checks"]][:2] == ["opens", "identifies"]
    for check in found["checks"]:
        assert f"✓   {check['name']} " in shown.stdout
    assert pulses_given(folder / "chip.state") == pulses


# ---- what is refused before any pulse

GOOD = np.full((4, 3), 0.5)


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ({"a": np.array([[0.5, np.nan]])}, ["'a'", "nan", "row 0, column 1"]),
        ({"good": GOOD, "b": np.array([[0.5], [np.inf]])}, ["'b'", "inf"]),
        ({"a": np.zeros(4)}, ["'a'", "(4,)"]),
        ({"a": np.zeros((2, 2, 2))}, ["'a'", "(2, 2, 2)"]),
        ({"a": np.array([["x"]])}, ["'a'"]),
        ({"a": np.zeros((64, 64))}, ["8,192", "4,096"]),
    ],
    ids=["nan", "inf", "rank 1", "rank 3", "text", "too many"],
)
def test_weights_that_cannot_be_programmed(layers: dict[str, Any], said: list[str], tmp_path: Path) -> None:
    bench, weights = write_bench(tmp_path), write_weights(tmp_path, **layers)

    refused(labkit("program", weights, "--station", bench, "--out", tmp_path / "run"), 1, *said)

    assert not (tmp_path / "run").exists()
    assert pulses_given(tmp_path / "chip.state") == 0


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        (
            [("rows: 64", "rows: 64\n      colums: 64")],
            4,
            ["instruments.chip.simulated.colums", "no such key"],
        ),
        ([("driver: pcm-controller", "driver: oscilloscope")], 4, ["driver", "oscilloscope"]),
        ([("460 uA", "460 us")], 4, ["envelope.current_max", "460 us"]),
        ([("460 uA", "100 uA")], 3, ["0.0001 A", "envelope.current_max"]),
        ([("width_max: 1 ms", "width_max: 10 ns")], 3, ["envelope.width_max"]),
        ([("0.3 V", "0.1 V")], 3, ["0.2 V", "envelope.read_voltage_max"]),
        ([("card: ibm90", "card: ibm45")], 1, ["ibm45", "ibm90"]),
        ([(ADDRESS, f"TCPIP0::127.0.0.1::{closed_port()}::SOCKET")], 4, ["127.0.0.1", "nothing answers"]),
    ],
    ids=["key", "instrument", "unit", "current", "width", "read voltage", "card", "closed port"],
)
def test_benches_that_cannot_be_used(
    changes: list[tuple[str, str]], status: int, said: list[str], tmp_path: Path
) -> None:
    bench, weights = write_bench(tmp_path, *changes), write_weights(tmp_path)

    refused(labkit("program", weights, "--station", bench, "--out", tmp_path / "run"), status, *said)

    assert not (tmp_path / "run").exists()
    assert pulses_given(tmp_path / "chip.state") == 0


def test_all_problems_of_a_bench_file_are_named(tmp_path: Path) -> None:
    bench = write_bench(tmp_path, ("name: small bench", "nmae: small bench"), ("seed: 1", "seed: one"))

    done = labkit("station", "check", bench, "--json")

    assert done.returncode == 4
    assert len(done.stderr.splitlines()) == 4
    problems = json.loads(done.stdout)["error"]["problems"]
    assert {problem.split(":")[0] for problem in problems} == {
        "nmae",
        "name",
        "instruments.chip.simulated.seed",
    }


def test_a_board_that_says_nothing_is_not_waited_for_longer_than_the_time_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        bench = write_bench(tmp_path, (ADDRESS, f"TCPIP0::127.0.0.1::{port}::SOCKET\n    timeout: 0.5 s"))

        done = labkit("station", "check", bench, "--json")

    assert done.returncode == 4
    found = json.loads(done.stdout)
    assert found["ok"] is False
    assert found["checks"][0]["name"] == "opens"
    refused(done, 4, "1 of 1 checks", "opens")


def test_a_run_that_exists_is_never_overwritten(folder: Path) -> None:
    pulses, before = pulses_given(folder / "chip.state"), contents(folder / "first")

    done = labkit("program", "weights.npz", "--station", "bench.yaml", "--out", "first", "--json", cwd=folder)

    refused(done, 1, "first", "never overwritten")
    assert json.loads(done.stdout)["error"]["type"] == "RunExists"
    assert contents(folder / "first") == before
    assert pulses_given(folder / "chip.state") == pulses


def test_cells_that_may_not_be_pulsed_again_are_left_alone(folder: Path) -> None:
    bench = write_bench(folder, ("pulses_per_cell_max: 1000", "pulses_per_cell_max: 1"), name="worn.yaml")
    pulses = pulses_given(folder / "chip.state")

    done = labkit("program", folder / "weights.npz", "--station", bench, "--out", folder / "second")

    refused(done, 3, "budget of 1")
    assert not (folder / "second").exists()
    assert pulses_given(folder / "chip.state") == pulses


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Path]:
    """A bench whose chip another process has open."""
    bench = write_bench(tmp_path)
    command = [*COMMAND, "simulate", str(bench), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield bench
        process.kill()


def test_a_chip_another_process_has_open_is_left_to_it(held: Path, tmp_path: Path) -> None:
    weights = write_weights(tmp_path)

    refused(
        labkit("program", weights, "--station", held, "--out", tmp_path / "run"),
        4,
        "chip.state",
        "open in another",
    )

    assert not (tmp_path / "run").exists()


def test_the_state_file_of_another_chip_is_kept(folder: Path) -> None:
    other = write_bench(folder, ("seed: 1", "seed: 2"), name="other.yaml")
    before = (folder / "chip.state").read_bytes()

    refused(
        labkit("program", folder / "weights.npz", "--station", other, "--out", folder / "x"),
        4,
        "another chip",
    )

    assert not (folder / "x").exists()
    assert (folder / "chip.state").read_bytes() == before


@pytest.mark.parametrize(
    ("state", "status"), [("", 5), ("      state: chip.state\n", 4)], ids=["run", "chip"]
)
def test_a_full_disk_leaves_nothing_half_done(state: str, status: int, tmp_path: Path) -> None:
    bench, weights = write_bench(tmp_path, ("      state: chip.state\n", state)), write_weights(tmp_path)

    done = labkit(
        "program", weights, "--station", bench, "--out", tmp_path / "run", preexec_fn=room_for(20_000)
    )

    refused(done, status, str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} <= {"bench.yaml", "weights.npz", "chip.state.lock"}


# ---- signals


def test_ctrl_c_ends_programming_with_what_is_known(tmp_path: Path) -> None:
    bench, weights = write_bench(tmp_path), write_weights(tmp_path)
    endless = ("--margin", "0.001uS", "--pulses-max", "900", "--reads-per-pass", "9", "--json")
    process = subprocess.Popen(
        [
            *COMMAND,
            "program",
            str(weights),
            "--station",
            str(bench),
            "--out",
            str(tmp_path / "run"),
            *endless,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    while process.poll() is None and not (tmp_path / "run" / "manifest.json").exists():
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, said = process.communicate(timeout=60)

    assert process.returncode == 130, said
    assert "Traceback" not in said
    errors = [line for line in said.splitlines() if not line.startswith("note: ")]
    assert errors[0].startswith("labkit: interrupted by SIGINT")
    assert json.loads(out)["error"]["type"] == "Interrupted"
    run = Run.open(tmp_path / "run")
    assert run.manifest["status"] == "interrupted"
    assert run.table("cells").pulses.sum() == pulses_given(tmp_path / "chip.state") > 0
    assert answer(labkit("station", "check", bench, "--json"))["ok"] is True
