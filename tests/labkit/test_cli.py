"""The frame of the command line: help, lazy imports, errors, exit codes, output that is cut off."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cli_process import COMMAND, answer, environment, labkit, refused

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("numpy", "scipy", "numba", "pandas", "matplotlib", "pyarrow", "pyvisa", "jinja2")
COMMANDS = (
    "demo",
    "program",
    "read",
    "report",
    "station check",
    "station",
    "calibrate reads",
    "calibrate",
    "simulate",
    "card list",
    "card show",
    "card check",
    "card",
)


def imported(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint('|'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    return set(done.stdout.splitlines()[-1].split("|"))


def test_importing_the_command_imports_nothing_heavy() -> None:
    assert not imported("import labkit.cli") & set(HEAVY)


def test_help_imports_nothing_heavy() -> None:
    statement = "from labkit.cli import main\ntry: main(['program', '--help'])\nexcept SystemExit: pass"

    assert not imported(statement) & set(HEAVY)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = labkit(*command.split(), "--help")

    assert done.returncode == 0
    assert "Example" in done.stdout
    assert f"labkit {command}" in done.stdout.partition("Example")[2]
    assert not done.stderr


def test_help_names_every_command() -> None:
    done = labkit("--help")

    assert done.returncode == 0
    for command in COMMANDS:
        assert f" {command.split()[0]} " in done.stdout


def test_the_help_tells_the_defaults_of_the_loop() -> None:
    from labkit.programming import ProgramSettings

    text = " ".join(labkit("program", "--help").stdout.replace("│", " ").split())

    settings = ProgramSettings()
    assert f"Pulses a cell may get; by default {settings.pulses_max}." in text
    assert f"by default {settings.verify_age_s:g}s." in text
    assert f"averaged in a pass; by default {settings.reads_per_pass}." in text
    assert settings.margin_s is None
    assert f"{settings.margin_sigmas:g}sigma in programming errors of the card, the default." in text


def test_version() -> None:
    done = labkit("--version")

    assert done.returncode == 0
    assert done.stdout.startswith("labkit ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["program", "w.npz"], ["--station", "labkit program --help"]),
        (["read"], ["RUN", "labkit read --help"]),
        (["card", "show", "ibm90", "--colour"], ["--colour"]),
        (["dance"], ["dance"]),
        (["simulate", "bench.yaml", "--port", "70000"], ["--port", "65535"]),
        (["read", "run", "--at", "soon"], ["--at", "'soon'", "1h"]),
        (["read", "run", "--at", "1h,,1d"], ["--at", "commas"]),
        (["read", "run", "--at", "-1h"], ["--at", "above zero"]),
        (["program", "w.npz", "--station", "b.yaml", "--margin", "3"], ["--margin", "0.5uS"]),
        (["program", "w.npz", "--station", "b.yaml", "--pulses-max", "0"], ["--pulses-max"]),
        (["program", "w.npz", "--station", "b.yaml", "--verify-age", "2uS"], ["--verify-age", "2uS"]),
    ],
)
def test_usage_errors_are_one_line_and_exit_with_2(words: list[str], said: list[str], tmp_path: Path) -> None:
    done = labkit(*words, cwd=tmp_path)

    refused(done, 2, *said)
    assert not done.stdout
    assert not list(tmp_path.iterdir())


def test_without_a_command_the_help_is_printed_and_the_exit_code_is_2() -> None:
    done = labkit()

    assert done.returncode == 2
    assert "Commands" in done.stdout + done.stderr


def test_an_error_is_one_json_object_with_json() -> None:
    done = labkit("report", "nowhere", "--json")

    line = refused(done, 1, "nowhere", "no run")
    error = json.loads(done.stdout)["error"]
    assert error["type"] == "RunUnreadable"
    assert error["exit_code"] == 1
    assert line == f"labkit: {error['message']}"


@pytest.mark.parametrize("words", [["--debug", "report", "nowhere"], ["report", "nowhere", "--debug"]])
def test_only_debug_shows_a_traceback(words: list[str]) -> None:
    done = labkit(*words)

    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert "RunUnreadable" in done.stderr


def test_a_reader_that_goes_away_is_no_error_message() -> None:
    command = subprocess.Popen(
        [*COMMAND, "card", "show", "ibm90"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    )
    assert command.stdout is not None
    assert command.stderr is not None
    command.stdout.close()

    said = command.stderr.read()
    command.stderr.close()

    assert command.wait() == 141
    assert said == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize(
    "words", [["card", "show", "ibm90"], ["card", "show", "ibm90", "--json"], ["--version"]]
)
def test_a_full_disk_behind_stdout_is_an_error(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = labkit(*words, stdout=full)

    refused(done, 5, os.strerror(errno.ENOSPC), "free some space")


@pytest.mark.parametrize("stream", [1, 2])
def test_a_closed_stream_is_no_error(stream: int) -> None:
    done = labkit("card", "check", "ibm90", "--file-only", preexec_fn=lambda: os.close(stream))

    assert done.returncode == 0
    assert bool(done.stdout) == (stream == 2)
    assert not done.stderr


def test_an_old_locale_does_not_end_a_command() -> None:
    env = environment(PYTHONIOENCODING="latin-1")
    done = subprocess.run([*COMMAND, "card", "show", "ibm90"], check=False, capture_output=True, env=env)

    assert done.returncode == 0, done.stderr
    assert "25 µS".encode("latin-1") in done.stdout


# ---- cards


def test_card_show_prints_every_number_with_unit_status_and_source() -> None:
    from calibration import DeviceCard

    card = DeviceCard.load("ibm90")
    done = labkit("card", "show", "ibm90")
    found = answer(labkit("card", "show", "ibm90", "--json"))

    assert done.returncode == 0
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["melt_current_mean_a", "220", "µA", "default"] in [row[:4] for row in rows]
    for name, number in card.numbers():
        entry = next(entry for entry in found["numbers"] if entry["name"] == name)
        assert (entry["value"], entry["unit"]) == (number.value, number.unit)
        assert (entry["status"], entry["source"]) == (number.status, number.source)
        assert number.source in done.stdout
        last = name.removesuffix(".values").split(".")[-1]
        assert any(row[:1] == [last] or last in row[1:2] for row in rows), name


def test_card_list_has_one_line_for_every_preset() -> None:
    from calibration import DeviceCard, preset_names

    done = labkit("card", "list")
    found = answer(labkit("card", "list", "--json"))

    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(preset_names())
    for line, entry in zip(lines, found["cards"], strict=True):
        card = DeviceCard.load(entry["name"])
        assert line.endswith(card.description)
        assert entry["description"] == card.description


def test_card_show_says_where_a_law_may_be_trusted_and_writes_long_times_as_people_do() -> None:
    rows = [line.split() for line in labkit("card", "show", "st90").stdout.splitlines()]

    assert ["valid", "for", "ages", "1", "µs", "..", "64", "h"] in rows
    assert ["valid", "at", "293.15", "K", "..", "358.15", "K"] in rows
    assert ["lifetime_s", "3650", "d", "default"] in [row[:4] for row in rows]
    assert ["tau_max_s", "1e+06", "s", "default"] in [row[:4] for row in rows]


def test_card_show_writes_intervals_and_tables(tmp_path: Path) -> None:
    from calibration import DeviceCard

    data = DeviceCard.load("ibm90").to_dict()
    data["g_max"] |= {"status": "fitted", "interval": ["24 uS", "26 uS"], "level": 0.95, "source": "night 12"}
    table = {"g": [0.1, 1.0], "unit": "1", "status": "default", "source": "by eye"}
    data["laws"]["drift"]["form"] = "table"
    data["laws"]["drift"]["parameters"] = {
        "mean_table": {**table, "values": [0.06, 0.05]},
        "spread_table": {**table, "values": [0.02, 0.01]},
        **{
            name: data["laws"]["drift"]["parameters"][name]
            for name in ("pulse_reference_age_s", "device_share", "onset_s")
        },
    }
    path = tmp_path / "own.yaml"
    DeviceCard.from_dict(data).save(path)

    done = labkit("card", "show", path)

    assert done.returncode == 0, done.stderr
    assert "24 µS .. 26 µS (95%)" in done.stdout
    assert "mean_table at g = 0.1" in done.stdout
    assert "night 12" in done.stdout


def test_card_check_names_everything_that_is_wrong(tmp_path: Path) -> None:
    from calibration.presets import preset_text

    text = preset_text("ibm90")
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(text, "utf-8")
    bad.write_text(
        text.replace("value: 0.26348 uS", "value: 0.26348 us").replace("value: 0.2,", "value: .nan,")
    )

    assert answer(labkit("card", "check", good, "--file-only", "--json"))["ok"] is True
    done = labkit("card", "check", bad, "--json")
    assert done.returncode == 1
    assert "constant_s" in done.stderr
    assert "read_noise.parameters.cap" in done.stderr
    assert len(json.loads(done.stdout)["error"]["problems"]) == 2
    refused(labkit("card", "check", "nosuch"), 1, "nosuch", "ibm90")
