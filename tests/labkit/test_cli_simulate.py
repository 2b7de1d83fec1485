"""``labkit simulate``: any program talks to the chip, and a signal saves it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cli_process import COMMAND, environment, labkit, refused, write_bench


class Board:
    """A bare TCP host of a served chip."""

    def __init__(self, address: str) -> None:
        match = re.fullmatch(r"TCPIP0::127\.0\.0\.1::(\d+)::SOCKET", address)
        assert match, address
        self.port = int(match[1])
        self._sock = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        self._file = self._sock.makefile("rb")

    def ask(self, text: str) -> str:
        self._sock.sendall(text.encode() + b"\n")
        return self._file.readline().decode().strip()

    def close(self) -> None:
        self._file.close()
        self._sock.close()


@contextmanager
def serving(bench: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], Board]]:
    process = subprocess.Popen(
        [*COMMAND, "simulate", str(bench), "--port", "0", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        start_new_session=True,
    )
    assert process.stdout is not None
    board = None
    try:
        address = process.stdout.readline().strip()
        board = Board(address) if address else None
        assert board is not None, process.communicate()[1]
        yield process, board
    finally:
        if board is not None:
            board.close()
        process.kill()
        process.communicate()


def test_a_signal_saves_the_chip_and_is_success(tmp_path: Path) -> None:
    bench = write_bench(tmp_path)

    for session, number in enumerate((signal.SIGINT, signal.SIGTERM, signal.SIGHUP)):
        with serving(bench) as (process, board):
            assert board.ask("*IDN?").startswith("PCMLAB,")
            assert board.ask('SYST:LOCK:REQ? "test"') == "1"
            absolute_ns = int(board.ask("XLAB:TIME?").split(",")[0])
            assert session * 5000 <= absolute_ns * 1e-9 < session * 5000 + 100
            assert board.ask("SIM:TIME:ADV 5000;*OPC?") == "1"
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
            assert process.returncode == 0, said


def test_who_has_the_chip_keeps_it(tmp_path: Path) -> None:
    bench = write_bench(tmp_path)

    with serving(bench) as (process, board):
        refused(labkit("simulate", bench, "--port", "0"), 4, "chip.state", "open in another program")
        other = write_bench(tmp_path, ("      state: chip.state\n", ""), name="other.yaml")
        refused(labkit("simulate", other, "--port", board.port), 4, f"port {board.port}", "--port")
        assert process.poll() is None


def test_events_are_served_beside_the_board(tmp_path: Path) -> None:
    bench = write_bench(tmp_path)

    with serving(bench) as (process, board):
        assert process.stdout is not None
        match = re.fullmatch(r"TCPIP0::127\.0\.0\.1::(\d+)::SOCKET", process.stdout.readline().strip())
        assert match
        with (
            socket.create_connection(("127.0.0.1", int(match[1])), timeout=10) as ear,
            ear.makefile("rb") as file,
        ):
            assert file.readline().decode() == f"!BOOT {board.ask('SYST:BOOT?')}\n"
            assert board.ask('SYST:LOCK:REQ? "test"') == "1"
            assert board.ask("ARR:POW ON;*WAI;:ARR:POW?") == "ON"
            ear.sendall(b"!SAFE\n")
            assert file.readline().startswith(b"!STB 128,")
            assert file.readline().startswith(b"!STB 0,")
            deadline = time.monotonic() + 10
            while board.ask("ARR:POW?") != "SAFE" and time.monotonic() < deadline:
                time.sleep(0.002)
            assert board.ask("ARR:POW?;:OUTP?") == "SAFE;0"
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 0


def test_where_the_events_cannot_be(tmp_path: Path) -> None:
    bench = write_bench(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused(
            labkit("simulate", bench, "--port", "0", "--event-port", port), 4, f"port {port}", "--event-port"
        )
    refused(labkit("simulate", bench, "--port", "65535"), 4, "behind 65535", "--event-port")


def test_the_chip_of_another_seed_is_refused(tmp_path: Path) -> None:
    bench = write_bench(tmp_path)
    with serving(bench) as (process, _):
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    before = (tmp_path / "chip.state").read_bytes()

    other = write_bench(tmp_path, ("seed: 1", "seed: 2"), name="other.yaml")

    refused(labkit("simulate", other, "--port", "0"), 4, "chip.state", "another chip")
    assert (tmp_path / "chip.state").read_bytes() == before


def test_what_is_not_simulated_is_not_served(tmp_path: Path) -> None:
    two = write_bench(
        tmp_path, ("envelope:", "  meter: {driver: pcm-controller, address: GPIB0::3::INSTR}\nenvelope:")
    )
    real = tmp_path / "real.yaml"
    real.write_text(
        "version: 1\nname: real\ninstruments:\n  m: {driver: pcm-controller, address: GPIB0::3::INSTR}\n"
    )

    refused(labkit("simulate", two, "--instrument", "meter"), 4, "meter", "chip")
    refused(labkit("simulate", real), 4, "simulated section")
    refused(labkit("simulate", tmp_path / "none.yaml"), 4, "none.yaml", "No such file")
