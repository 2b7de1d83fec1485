"""A station leaves every instrument safe, however it ends; judged on the instrument's side."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvisa
from toy_chip import ToyChip, ToyError, write_bench

from drivers.bench import load_bench
from drivers.chip import ReadSetup
from labkit import Interrupted, StationError, open_station
from labkit.station import Station

SERVED = """\
version: 1
name: served
instruments:
  chip:
    driver: pcm-controller
    address: {address}
    backend: "{backend}"
    timeout: 10 s
    simulated: {{model: pcm-controller, card: ibm90, rows: 16, cols: 16, seed: 3}}
"""
WORK = """\
import sys
import numpy as np
from drivers.chip import Batch, Pulse, ReadSetup
from labkit import open_station

cells = np.arange(256, dtype=np.uint32)
pulse = Pulse(rise_s=5e-9, top_s=45e-9, fall_s=5e-9, period_s=1e-6, full_scale=450e-6)
with open_station(sys.argv[1]) as station:
    station.energise()
    print("energised", flush=True)
    while True:
        chip = station.chip
        chip.program(Batch(chip.next_batch_id(), cells, pulse, np.full(256, 3e-4, np.float32)))
        chip.wait(10.0)
        chip.read(cells, ReadSetup())
"""


def toy_station(folder: Path, chip: ToyChip) -> Station:
    return Station(load_bench(write_bench(folder)), opener=lambda bench, instrument, transcript: chip)


# ---------------------------------------------------------------- in this process


def test_the_end_of_the_block_makes_safe_and_closes(tmp_path: Path) -> None:
    chip = ToyChip()
    with toy_station(tmp_path, chip) as station:
        station.energise()
        assert chip.connected
    assert chip.done[-2:] == ["safe", "close"]
    assert not chip.connected
    with pytest.raises(StationError, match="not open"):
        _ = station.chip


@pytest.mark.parametrize(
    "error", [RuntimeError("boom"), KeyboardInterrupt(), SystemExit(3), ToyError("broken")]
)
def test_an_exception_makes_safe_and_goes_on(tmp_path: Path, error: BaseException) -> None:
    chip = ToyChip()

    def use() -> None:
        with toy_station(tmp_path, chip) as station:
            station.energise()
            raise error

    with pytest.raises(type(error)):
        use()
    assert chip.done[-2:] == ["safe", "close"]


def test_a_station_that_fails_to_open_is_safe_too(tmp_path: Path) -> None:
    chip = ToyChip()
    chip.fail["epoch"] = ToyError("no clock")
    with pytest.raises(ToyError), toy_station(tmp_path, chip):
        pass
    assert chip.done[-2:] == ["safe", "close"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_waits_for_the_message_and_then_makes_safe(tmp_path: Path, number: signal.Signals) -> None:
    chip = ToyChip()
    finished: list[str] = []

    def strike(name: str) -> None:
        if name == "read":
            os.kill(os.getpid(), number)
            finished.append(name)  # the message goes on to its end

    def use() -> None:
        with toy_station(tmp_path, chip) as station:
            station.energise()
            chip.during = strike
            station.chip.read(np.arange(4, dtype=np.uint32), ReadSetup())

    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as caught:
        use()
    assert finished == ["read"]
    assert caught.value.exit_code == 128 + number
    assert chip.done[-2:] == ["safe", "close"]
    assert signal.getsignal(number) == before


def test_a_station_is_opened_once(tmp_path: Path) -> None:
    station = toy_station(tmp_path, ToyChip())
    with station:
        pass
    with pytest.raises(StationError, match="opened before"), station:
        pass


def test_the_instrument_must_be_named_where_there_are_several(tmp_path: Path) -> None:
    one = write_bench(tmp_path)
    with pytest.raises(StationError, match="no instrument 'meter'; choose one of: chip"):
        open_station(one, instrument="meter")
    second = "  other:\n    driver: pcm-controller\n    address: TCPIP0::b::5025::SOCKET\n"
    several = write_bench(tmp_path, extra=second)
    with pytest.raises(StationError, match="several chips; choose one of: chip, other"):
        open_station(several)


def test_a_snapshot_can_be_kept_as_json(tmp_path: Path) -> None:
    import json

    with toy_station(tmp_path, ToyChip()) as station:
        facts = station.snapshot()
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    assert facts["identities"]["chip"]["serial"] == "0001"
    assert facts["bench"]["text"].startswith("version: 1")
    assert facts["versions"]["numpy"] == np.__version__


# ---------------------------------------------------------------- another process, judged from the board


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, Callable[[str], str]]]:
    """A bench file for a served chip, and a second link to that chip."""
    bench = tmp_path / "served.yaml"
    bench.write_text(SERVED.format(address="TCPIP0::pcm-mock::5025::SOCKET", backend="@pcm"))
    command = [sys.executable, "-m", "labkit.cli", "simulate", str(bench), "--port", "0"]
    manager = pyvisa.ResourceManager("@py")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        found = re.search(r"TCPIP0::\S+::SOCKET", server.stdout.readline())
        assert found is not None
        remote = tmp_path / "remote.yaml"
        remote.write_text(SERVED.format(address=found[0], backend="@py"))
        watcher: Any = manager.open_resource(
            found[0], read_termination="\n", write_termination="\n", timeout=10_000
        )
        yield remote, watcher.query
        watcher.close()
        server.terminate()
    manager.close()


def at_work(bench: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", WORK, str(bench)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "energised\n"
    return child


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signalled_program_leaves_the_board_safe(
    served: tuple[Path, Callable[[str], str]], number: signal.Signals
) -> None:
    bench, ask = served
    with at_work(bench) as child:
        assert ask("OUTP?") == "1"
        child.send_signal(number)
        _, said = child.communicate(timeout=60)
    assert child.returncode == 1
    assert "Interrupted" in said
    assert ask("OUTP?;:ARR:POW?") == "0;SAFE"


def test_a_killed_program_leaves_the_board_energised_no_longer_than_the_watchdog(
    served: tuple[Path, Callable[[str], str]],
) -> None:
    bench, ask = served
    with at_work(bench) as child:
        child.kill()
        child.communicate(timeout=60)
    # The lock ended with its link, once what had come over it was executed.
    while ask('SYST:LOCK:REQ? "watcher"') == "0":
        pass
    assert ask("OUTP?") == "1"
    assert ask("SYST:LOCK:REL;:SYST:LOCK:OWN?") == "0"
    assert ask('SYST:LOCK:REQ? "watcher";:SIM:TIME:ADV 599;:OUTP?') == "1;1"
    assert ask("SIM:TIME:ADV 602;:OUTP?;:ARR:POW?") == "0;SAFE"
    assert ask("SYST:ERR?") == '208,"Watchdog expired"'
