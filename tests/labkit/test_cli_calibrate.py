"""``labkit calibrate reads`` on a simulated bench: the hidden errors of its columns are found and taken out."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_process import COMMAND, answer, environment, labkit, refused, write_bench, write_weights
from scipy.stats import binom

from calibration import DeviceCard
from drivers.chip import Batch, Pulse, ReadSetup
from drivers.products import Rectangle
from drivers.read_calibration import ReadCalibration
from drivers.sim_control import SimControl
from drivers.simulated.chip import SimulatedChip
from labkit import open_station
from labkit.runs import Run
from labkit.station import Station

REFERENCES = "references: {rows: {62: 1 uS, 63: 20 uS}, tolerance: 0.5 %}\nenvelope:"
KEPT = ("    simulated:", "    read_calibration: reads.json\n    simulated:")
DECLARED = ("envelope:", REFERENCES)
CALIBRATE = ("calibrate", "reads", "--station", "bench.yaml")


def calibrated_bench(folder: Path, *changes: tuple[str, str]) -> Path:
    return write_bench(folder, KEPT, DECLARED, *changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bench of 64 columns with a calibration, and what the command answered; never changed by a test."""
    folder = tmp_path_factory.mktemp("calibrated")
    calibrated_bench(folder)
    (folder / "answer.json").write_text(json.dumps(answer(labkit(*CALIBRATE, "--json", cwd=folder))))
    return folder


def quiet(*more: str) -> tuple[str, str]:
    """Effects switched off that would move cells while they are compared with what they hold."""
    off = ", ".join(("read_noise", "telegraph_noise", "lines", "read_disturb", *more))
    return "      state: chip.state\n", f"      without: [{off}]\n"


def hidden(cols: int, seed: int, rows: int = 64, banks: int = 1) -> tuple[Any, Any]:
    """Gain and offset of the columns of a simulated chip."""
    chip = SimulatedChip.create(
        DeviceCard.load("ibm90"), banks=banks, rows=rows, cols=cols, seed=seed, threads=1
    )
    return chip.column_gain.astype(np.float64), chip.column_offset_a.astype(np.float64)


# ---- what it finds


def test_the_hidden_errors_of_all_columns_lie_in_their_intervals(tmp_path: Path) -> None:
    calibrated_bench(tmp_path, ("cols: 64", "cols: 2048"), ("seed: 1", "seed: 5"))
    figures = answer(labkit(*CALIBRATE, "--json", cwd=tmp_path))
    found = ReadCalibration.load(tmp_path / "reads.json")
    gain, offset_a = hidden(2048, 5)

    assert gain.std() == pytest.approx(0.01, rel=0.1)
    assert not found.uncalibrated
    # Binomial bounds, both sides; right intervals fail with a probability of 2e-6 in all.
    low, high = binom.ppf(5e-7, 2048, 0.95), binom.isf(5e-7, 2048, 0.95)
    assert low <= np.count_nonzero(np.abs(found.gain - gain) <= found.gain_half_width) <= high
    assert low <= np.count_nonzero(np.abs(found.offset_a - offset_a) <= found.offset_half_width_a) <= high
    # Narrower than what there is to be found.
    assert figures["gain_half_width_median"] / 1.96 < 0.4 * gain.std()
    assert figures["offset_half_width_median_a"] / 1.96 < 0.4 * offset_a.std()
    assert figures["gain_error_rms"] == pytest.approx(np.sqrt(np.mean((gain - 1.0) ** 2)), rel=0.2)


def readings_and_truth(bench: Path, *, calibrated: bool) -> tuple[Any, Any]:
    """Mean readings and noise-free conductances of the programmed cells, by row and column."""
    setup = ReadSetup(samples=64, range_a=1e-5)
    cells = np.arange(62 * 64, dtype=np.uint32)
    with open_station(bench, calibrated=calibrated) as station:
        _program(station, cells)
        read_s = np.mean([station.chip.read(cells, setup).g_s for _ in range(8)], axis=0, dtype=np.float64)
        raw: Any = station.chip.chip
        truth_s = SimControl(raw).truth_s(cells).astype(np.float64)
    return read_s.reshape(62, 64), truth_s.reshape(62, 64)


def _program(station: Station, cells: Any) -> None:
    station.energise()
    chip = station.chip
    pulse = Pulse(rise_s=5e-9, top_s=45e-9, fall_s=5e-9, period_s=1e-6, full_scale=450e-6)
    amplitude = np.linspace(180e-6, 330e-6, cells.size, dtype=np.float32)
    amplitude = np.random.default_rng(2).permutation(amplitude)
    chip.program(Batch(chip.next_batch_id(), cells, pulse, amplitude))
    chip.wait(60.0)
    station.clock.advance(60.0)


def test_readings_of_memory_cells_are_unbiased_once_they_are_calibrated(tmp_path: Path) -> None:
    bench = calibrated_bench(tmp_path, quiet())
    answer(labkit(*CALIBRATE, "--json", cwd=tmp_path))
    found = ReadCalibration.load(tmp_path / "reads.json")

    slopes = []
    for calibrated in (False, True):
        read_s, truth_s = readings_and_truth(bench, calibrated=calibrated)
        used = (truth_s > 2e-6) & (truth_s < 40e-6) & np.isfinite(read_s)
        lines = [np.polyfit(truth_s[used[:, j], j], read_s[used[:, j], j], 1) for j in range(64)]
        slopes.append(np.array(lines))
    raw, corrected = slopes

    # Raw readings have the 1 % of the columns; corrected ones what the references' tolerance leaves.
    assert raw[:, 0].std() > 0.007
    assert corrected[:, 0].std() < 0.6 * raw[:, 0].std()
    # Slope and intercept of each column against what its interval allows; 5 standard deviations of 64 columns.
    for which, half_width in ((0, found.gain_half_width), (1, found.offset_half_width_a / 0.2)):
        pull = (corrected[:, which] - (1.0 - which)) / (half_width / 1.96)
        assert abs(pull.mean()) < 5 / np.sqrt(64)
        assert 0.6 < np.sqrt(np.mean(pull**2)) < 1.4


def test_products_of_the_simulated_chip_are_corrected_as_its_readings_are(tmp_path: Path) -> None:
    bench = calibrated_bench(tmp_path, quiet("current_voltage"))
    answer(labkit(*CALIBRATE, "--json", cwd=tmp_path))
    found = ReadCalibration.load(tmp_path / "reads.json")
    rectangle, samples = Rectangle(0, 0, 0, 8, 64), 256
    rng = np.random.default_rng(4)
    inputs = rng.integers(1, 128, (48, 8)).astype(np.int8)
    inputs[::2, :4] *= -1  # every other vector takes two passes

    pulls = {}
    for calibrated in (False, True):
        with open_station(bench, calibrated=calibrated) as station:
            _program(station, np.arange(62 * 64, dtype=np.uint32))
            chip: Any = station.chip
            product = chip.multiply(rectangle, inputs, ReadSetup(samples=samples, range_a=1e-4))
            truth_s = SimControl(chip.chip).truth_s(rectangle.cells(chip.geometry()).reshape(-1))
        ideal_a = 0.2 / 127 * inputs.astype(np.float64) @ truth_s.reshape(8, 64).astype(np.float64)
        for passes, first in ((2, 0), (1, 1)):
            away_a = (product.current_a - ideal_a)[first::2]
            level_a, once = np.mean(ideal_a[first::2], axis=0), float(passes == 1)
            # What the calibration leaves at the column's mean current, and the converter's noise of 0.33 uA.
            left_a2 = (
                (found.gain_half_width * level_a / 1.96) ** 2
                + once * (found.offset_half_width_a / 1.96) ** 2
                + 2 * once * found.covariance_a * level_a
            )
            noise_a2 = passes * (0.33e-6) ** 2 / samples / len(away_a)
            pulls[calibrated, passes] = np.mean(away_a, axis=0) / np.sqrt(left_a2 + noise_a2)

    for passes in (1, 2):
        assert np.sqrt(np.mean(pulls[True, passes] ** 2)) < 1.4  # five standard deviations of 64 columns
        assert abs(pulls[True, passes].mean()) < 5 / np.sqrt(64)
    # Currents of one pass are large, and raw ones off by 1 % of them.
    assert np.sqrt(np.mean(pulls[False, 1] ** 2)) > 2.0


def test_the_answer_and_the_file_agree(folder: Path) -> None:
    figures = json.loads((folder / "answer.json").read_text())
    found = ReadCalibration.load(folder / "reads.json")

    assert figures["calibration"] == str(folder / "reads.json")
    assert figures["sha256"] == found.sha256
    assert (figures["columns"], figures["columns_calibrated"], figures["uncalibrated"]) == (64, 64, {})
    assert figures["worst_gain"] == found.gain[figures["worst_column"]]
    assert found.references == {62: 1e-6, 63: 20e-6}
    assert (found.samples, found.repeats, found.range_a) == (64, 16, 1e-5)
    assert found.temperature_k == 300.0
    assert found.lines_ohm is None


def test_the_command_says_what_it_found_and_where_it_keeps_it(folder: Path) -> None:
    words = ("--out", "other.json", "--samples", "8", "--repeats", "4", "--lines", "ibm90")
    done = labkit(*CALIBRATE, *words, cwd=folder)

    assert done.returncode == 0, done.stderr
    for said in (
        "64 of 64 calibrated",
        "gain error",
        "offset",
        "worst column",
        "row 62 1 µS",
        "300.0 K",
        "other.json",
    ):
        assert said in done.stdout
    assert "read_calibration: " in done.stdout.splitlines()[-1] + done.stdout
    found = ReadCalibration.load(folder / "other.json")
    assert (found.samples, found.repeats, found.lines_ohm) == (8, 4, (0.0, 0.35, 0.35))


# ---- what uses it


def test_program_and_read_use_it_and_their_run_says_so(folder: Path, tmp_path: Path) -> None:
    calibrated_bench(tmp_path)
    (tmp_path / "reads.json").write_bytes((folder / "reads.json").read_bytes())
    weights = write_weights(tmp_path)
    done = labkit("program", weights, "--station", "bench.yaml", "--out", "first", "--json", cwd=tmp_path)
    answer(done)
    assert "warning" not in done.stderr

    run = Run.open(tmp_path / "first")
    facts = run.manifest["station"]["read_calibration"]
    assert facts["sha256"] == ReadCalibration.load(tmp_path / "reads.json").sha256
    assert facts["stale"] == []
    row = run.table("cells").cell.to_numpy() // 64
    assert row.max() < 62

    later = labkit("read", "first", "--at", "10d", "--json", cwd=tmp_path)
    answer(later)  # opened before it was stale, read after
    late = labkit("read", "first", "--at", "20d", cwd=tmp_path)
    assert late.returncode == 0
    assert "warning: the read calibration" in late.stderr
    assert "is stale: it is 10 d old, and 7 d are allowed" in late.stderr
    check = labkit("station", "check", "bench.yaml", "--json", cwd=tmp_path)
    assert check.returncode == 4
    (failed,) = [entry for entry in json.loads(check.stdout)["checks"] if not entry["ok"]]
    assert failed["name"] == "read calibration"
    assert "20 d old" in failed["detail"]

    page = labkit("program", weights, "--station", "bench.yaml", "--out", "second", "--json", cwd=tmp_path)
    assert "Readings were corrected with a stale calibration: it is 20 d old" in Path(
        answer(page)["report"]
    ).read_text("utf-8")


def test_a_chip_at_another_temperature_makes_it_stale(folder: Path, tmp_path: Path) -> None:
    calibrated_bench(tmp_path, ("      seed: 1\n", "      seed: 1\n      temperature: 320 K\n"))
    (tmp_path / "reads.json").write_bytes((folder / "reads.json").read_bytes())
    check = labkit("station", "check", "bench.yaml", "--json", cwd=tmp_path)
    assert check.returncode == 4
    assert "300.0 K and the chip is at 320.0 K, 20.0 K away where 5 K are allowed" in check.stdout


def test_weights_that_fit_only_without_the_references_are_refused(tmp_path: Path) -> None:
    calibrated_bench(tmp_path)
    weights = write_weights(tmp_path, layer=np.ones((63, 32)))
    done = labkit("program", weights, "--station", "bench.yaml", "--out", "run", cwd=tmp_path)
    assert done.returncode == 1
    assert "3,968 beside its reference rows" in done.stderr
    assert "warning: readings are raw" in done.stderr


# ---- what it refuses


@pytest.mark.parametrize(
    ("changes", "words", "said"),
    [
        ([KEPT], [], ["declares no reference resistors", "references: {rows:"]),
        ([DECLARED], [], ["does not say where", "--out"]),
        ([KEPT, DECLARED, ("63: 20 uS", "63: 1 uS")], [], ["one value only"]),
        ([KEPT, DECLARED, ("63: 20 uS", "64: 20 uS")], [], ["64 is not on chip"]),
        (
            [KEPT, DECLARED, ("62: 1 uS, 63", "62: 20 uS, 63"), ("63: 20", "63: 5")],
            ["--samples", "70000"],
            ["65536"],
        ),
        ([KEPT, DECLARED], ["--out", "bench.yaml"], ["in the way", "nothing else is replaced"]),
        ([KEPT, DECLARED, ("reads.json", "no/../bench.yaml")], [], ["in the way"]),
    ],
    ids=["no references", "no file", "one value", "row", "samples", "out", "kept"],
)
def test_what_cannot_be_calibrated(
    tmp_path: Path, changes: list[tuple[str, str]], words: list[str], said: list[str]
) -> None:
    write_bench(tmp_path, *changes)
    (tmp_path / "no").mkdir()
    before = (tmp_path / "bench.yaml").read_bytes()
    refused(labkit(*CALIBRATE, *words, cwd=tmp_path), 4, *said)
    assert not (tmp_path / "reads.json").exists()
    assert (tmp_path / "bench.yaml").read_bytes() == before


def test_usage_errors(tmp_path: Path) -> None:
    calibrated_bench(tmp_path)
    refused(labkit(*CALIBRATE, "--samples", "0", cwd=tmp_path), 2, "--samples")
    refused(labkit(*CALIBRATE, "--repeats", "1", cwd=tmp_path), 2, "--repeats")
    refused(labkit("calibrate", "reads", cwd=tmp_path), 2, "--station")


def test_the_calibration_of_another_chip_is_refused_and_can_be_replaced(folder: Path, tmp_path: Path) -> None:
    calibrated_bench(tmp_path, ("      seed: 1\n", '      seed: 2\n      serial: "0002"\n'))
    (tmp_path / "reads.json").write_bytes((folder / "reads.json").read_bytes())
    weights = write_weights(tmp_path)
    done = labkit("program", weights, "--station", "bench.yaml", "--out", "run", "--json", cwd=tmp_path)
    refused(
        done, 4, "serial 0001" if "serial 0001" in done.stderr else "0001", "0002", "labkit calibrate reads"
    )
    assert json.loads(done.stdout)["error"]["type"] == "ReadCalibrationError"
    assert not (tmp_path / "run").exists()
    answer(labkit(*CALIBRATE, "--json", cwd=tmp_path))
    assert ReadCalibration.load(tmp_path / "reads.json").serial == "0002"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data[:-40], "is damaged"),
        (lambda data: b"{}", "is no read calibration"),
        (lambda data: data.replace(b"calibration/1", b"calibration/2"), "install a newer labkit"),
    ],
)
def test_a_bad_file_is_refused(folder: Path, tmp_path: Path, change: Any, said: str) -> None:
    calibrated_bench(tmp_path)
    (tmp_path / "reads.json").write_bytes(change((folder / "reads.json").read_bytes()))
    weights = write_weights(tmp_path)
    refused(labkit("program", weights, "--station", "bench.yaml", "--out", "run", cwd=tmp_path), 4, said)
    check = labkit("station", "check", "bench.yaml", "--json", cwd=tmp_path)
    assert check.returncode == 4
    assert said in check.stdout


def test_a_signal_in_the_middle_leaves_the_old_file(folder: Path, tmp_path: Path) -> None:
    bench = calibrated_bench(tmp_path)
    old = (folder / "reads.json").read_bytes()
    (tmp_path / "reads.json").write_bytes(old)
    words = [*COMMAND, *CALIBRATE, "--repeats", "100000"]
    process = subprocess.Popen(
        words, cwd=tmp_path, env=environment(), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    process.stderr.readline()  # it has begun to read, and has hours to go
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)

    assert process.returncode == 128 + signal.SIGTERM, said
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith((".", "reads"))} == {
        "reads.json"
    }
    assert (tmp_path / "reads.json").read_bytes() == old
    assert answer(labkit("station", "check", bench, "--json"))["ok"] is True


def test_no_room_on_the_disk_leaves_the_old_file(folder: Path, tmp_path: Path) -> None:
    import resource

    calibrated_bench(tmp_path, ("      state: chip.state\n", ""))
    old = (folder / "reads.json").read_bytes()
    (tmp_path / "reads.json").write_bytes(old)
    limit = len(old) // 2

    done = labkit(
        *CALIBRATE,
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    refused(done, 5, "no room", "reads.json")
    assert (tmp_path / "reads.json").read_bytes() == old
    assert not list(tmp_path.glob(".*"))
