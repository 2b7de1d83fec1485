"""Reference rows and read calibrations in bench files."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.bench import BenchError, BenchFile, load_bench
from drivers.chip import Geometry

BENCH = """\
version: 1
name: bench
instruments:
  chip:
    driver: pcm-controller
    address: TCPIP0::board::5025::SOCKET
{instrument}
    simulated: {{model: pcm-controller, card: ibm90, rows: 16, cols: 8, seed: 1}}
{references}
"""


def bench(folder: Path, references: str = "", instrument: str = "") -> BenchFile:
    path = folder / "bench.yaml"
    instrument = "\n".join(f"    {line}" for line in instrument.split(";") if line)
    path.write_text(BENCH.format(references=references, instrument=instrument).replace("\n\n", "\n"))
    return load_bench(path)


def test_what_a_bench_file_says_of_references(tmp_path: Path) -> None:
    found = bench(tmp_path, "references: {rows: {14: 5 uS, 2: 2e-5}, tolerance: 0.5 %}").references
    assert found is not None
    assert found.rows == {14: 5e-6, 2: 2e-5}
    assert found.tolerance == pytest.approx(0.005)
    cells = found.cells(Geometry(2, 16, 8))
    assert cells.tolist() == [*range(16, 24), *range(112, 120), *range(144, 152), *range(240, 248)]
    assert bench(tmp_path).references is None


def test_what_a_bench_file_says_of_a_read_calibration(tmp_path: Path) -> None:
    plain = bench(tmp_path).instruments["chip"]
    assert plain.read_calibration is None
    assert (plain.read_calibration_max_age_s, plain.read_calibration_max_temperature_change_k) == (
        604_800.0,
        5.0,
    )
    keys = (
        "read_calibration: kept/reads.json;read_calibration_max_age: 1 d;"
        "read_calibration_max_temperature_change: 2.5 K"
    )
    found = bench(tmp_path, instrument=keys).instruments["chip"]
    assert found.read_calibration == tmp_path / "kept" / "reads.json"
    assert (found.read_calibration_max_age_s, found.read_calibration_max_temperature_change_k) == (
        86_400.0,
        2.5,
    )


@pytest.mark.parametrize(
    ("references", "said"),
    [
        ("{rows: {14: 5 uS}}", "references.tolerance: is missing"),
        ("{tolerance: 1 %}", "references.rows: is missing"),
        ("{rows: {}, tolerance: 1 %}", "references.rows: "),
        ("{rows: {16: 5 uS, 20: 6 uS}, tolerance: 1 %}", "16, 20 is not on chip, whose rows are 0 .. 15"),
        ("{rows: {-1: 5 uS}, tolerance: 1 %}", "references.rows.-1"),
        ("{rows: {one: 5 uS}, tolerance: 1 %}", "references.rows.one"),
        ("{rows: {14: 5 us}, tolerance: 1 %}", "references.rows.14: '5 us'"),
        ("{rows: {14: 0 uS}, tolerance: 1 %}", "references.rows.14: is '0 uS'"),
        ("{rows: {14: -1 uS}, tolerance: 1 %}", "references.rows.14"),
        ("{rows: {14: 5 uS}, tolerance: 60 %}", "references.tolerance"),
        ("{rows: {14: 5 uS}, tolerance: -1 %}", "references.tolerance"),
        ("{rows: {14: 5 uS, 14: 6 uS}, tolerance: 1 %}", "'14' is given twice"),
        (f"{{rows: {{{', '.join(f'{row}: 5 uS' for row in range(16))}}}, tolerance: 1 %}}", "all rows of chip"),
    ],
)  # fmt: skip
def test_references_that_are_refused(tmp_path: Path, references: str, said: str) -> None:
    with pytest.raises(BenchError) as caught:
        bench(tmp_path, f"references: {references}")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("read_calibration_max_age: 7", None),
        ("read_calibration_max_age: 0 s", "read_calibration_max_age"),
        ("read_calibration_max_temperature_change: 5 C", "read_calibration_max_temperature_change"),
        ("read_calibration: 7", "read_calibration"),
    ],
)
def test_read_calibration_keys_that_are_refused(tmp_path: Path, keys: str, said: str | None) -> None:
    if said is None:
        assert bench(tmp_path, instrument=keys).instruments["chip"].read_calibration_max_age_s == 7.0
        return
    with pytest.raises(BenchError, match=f"instruments.chip.{said}"):
        bench(tmp_path, instrument=keys)


def test_two_chips_cannot_share_a_read_calibration(tmp_path: Path) -> None:
    other = "other:\n    driver: pcm-controller\n    address: TCPIP0::b::5025::SOCKET\n"
    path = tmp_path / "bench.yaml"
    path.write_text(
        "version: 1\nname: two\ninstruments:\n"
        "  chip:\n    driver: pcm-controller\n    address: TCPIP0::a::5025::SOCKET\n    read_calibration: r.json\n"
        f"  {other}    read_calibration: r.json\n"
    )
    with pytest.raises(BenchError, match="chip and other have the same read calibration"):
        load_bench(path)


@pytest.mark.parametrize("key", ["on", "yes", "n", "Off"])
def test_keys_that_yaml_takes_for_truth_values_are_text(tmp_path: Path, key: str) -> None:
    with pytest.raises(BenchError, match=f"instruments.chip.{key}: there is no such key"):
        bench(tmp_path, instrument=f"{key}: 1")
