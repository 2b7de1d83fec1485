"""A bench belongs to one process at a time, and the second one is told to whom and since when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cli_process import BENCH, answer, labkit

from drivers.bench import load_bench
from labkit import open_station
from labkit.errors import BenchReserved
from labkit.reservation import reserve

HOLD = """\
import sys
from labkit import open_station
with open_station(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.read()
"""

REAL = """\
version: 1
name: {name}
instruments:
  smu: {{driver: keithley-2600, address: "GPIB7::{address}::INSTR"}}
"""


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    path = tmp_path / "bench.yaml"
    path.write_text(BENCH)
    return path


@contextmanager
def held(bench: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the station of a bench open."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(bench)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        try:
            yield other
        finally:
            other.kill()


def test_the_second_process_is_told_who_has_the_bench_and_since_when(bench: Path) -> None:
    with held(bench) as other:
        with pytest.raises(BenchReserved, match=rf"process {other.pid}") as caught, open_station(bench):
            pass
        holder = caught.value.holder
        assert holder is not None
        assert holder["process"] == other.pid
        since = datetime.fromisoformat(holder["since_utc"])
        assert 0 <= (datetime.now(UTC) - since).total_seconds() < 60
        done = labkit("station", "check", bench)
        assert done.returncode == 4
        assert f"process {other.pid}" in done.stderr
        assert "since 2" in done.stderr


def test_it_ends_with_the_process_however_that_ends(bench: Path) -> None:
    with held(bench) as other:
        os.kill(other.pid, signal.SIGKILL)
        other.wait()
        with open_station(bench) as station:
            assert station.chip.geometry().cells == 4096


def test_one_process_may_have_it_twice(bench: Path) -> None:
    first, second = reserve(load_bench(bench)), reserve(load_bench(bench))
    second.release()
    done = labkit("station", "check", bench)
    assert done.returncode == 4, "the first one still has it"
    first.release()
    first.release()
    assert answer(labkit("station", "check", bench, "--json"))["ok"]


def test_two_files_with_the_same_real_instrument_collide(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    address = 1 + os.getpid() % 29
    (tmp_path / "bench.yaml").write_text(REAL.format(name="one", address=address))
    other.write_text(REAL.format(name="two", address=address))
    mine = reserve(load_bench(tmp_path / "bench.yaml"))
    code = (
        "import sys; from drivers.bench import load_bench; from labkit.reservation import reserve; "
        "reserve(load_bench(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(other)], capture_output=True, text=True, check=False
    )
    assert "BenchReserved: instrument GPIB7" in done.stderr
    mine.release()
    assert subprocess.run([sys.executable, "-c", code, str(other)], check=False).returncode == 0
