"""``labkit station scan`` and ``snapshot`` as processes, on a simulated bench."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from cli_process import BENCH, answer, labkit

from labkit.errors import StationError
from labkit.station_scan import Found, proposed_bench, scan


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    path = tmp_path / "bench.yaml"
    path.write_text(BENCH)
    return path


def test_a_scan_names_what_answers_and_what_does_not(bench: Path) -> None:
    found = answer(
        labkit("station", "scan", "--backend", f"{bench}@pcm", "--address", "GPIB0::9::INSTR", "--json")
    )["found"]
    assert [each["driver"] for each in found] == ["pcm-controller", None]
    assert found[0]["identity"].count(",") == 3
    assert found[1]["identity"] is None
    assert "GPIB0::9::INSTR" in found[1]["problem"]


def test_what_it_proposes_is_a_bench_file(tmp_path: Path, bench: Path) -> None:
    done = labkit("station", "scan", "--backend", f"{bench}@pcm")
    assert done.returncode == 0
    (tmp_path / "proposed.yaml").write_text(done.stdout.replace("# seen", "backend: '@py'    # seen"))
    checked = labkit("station", "check", tmp_path / "proposed.yaml")
    assert "cannot be used as a bench file" not in checked.stderr
    assert "1 resources, 1 with a driver" in done.stderr


def test_two_of_a_kind_get_two_names_and_strangers_a_comment() -> None:
    text = proposed_bench(
        [
            Found(
                "GPIB0::26::INSTR", "Keithley Instruments Inc., Model 2636B, 1234567, 3.2.2", "keithley-2600"
            ),
            Found(
                "GPIB0::27::INSTR", "Keithley Instruments Inc., Model 2602B, 7654321, 3.2.2", "keithley-2600"
            ),
            Found("GPIB0::3::INSTR", "ACME,TOASTER\x00,1,1", None),
            Found("ASRL1::INSTR", None, None, "no answer"),
        ]
    )
    data = yaml.safe_load(text)
    assert {name: entry["model"] for name, entry in data["instruments"].items()} == {
        "smu": "2636B",
        "smu2": "2602B",
    }
    assert "# no driver: GPIB0::3::INSTR (ACME,TOASTER?,1,1)" in text
    assert "# no driver: ASRL1::INSTR (no answer)" in text


def test_an_unknown_backend_is_named() -> None:
    with pytest.raises(StationError, match="@nowhere"):
        scan("@nowhere")


def test_a_snapshot_is_stored_once_and_changes_nothing(bench: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "bench.json"
    assert labkit("station", "snapshot", bench, "--out", out).returncode == 0
    found = json.loads(out.read_text())
    assert found["bench"]["text"] == BENCH
    assert found["chip"]["geometry"] == {"banks": 1, "rows": 64, "cols": 64}
    again = labkit("station", "snapshot", bench, "--out", out)
    assert again.returncode == 1
    assert "never overwritten" in again.stderr
    assert answer(labkit("station", "snapshot", bench, "--json"))["chip"]["driver"] == "pcm-controller"
