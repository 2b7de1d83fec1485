"""``labkit simulate``: any program talks to the chip, and a signal saves it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyvisa
from cli_process import BENCH, COMMAND, environment, labkit, refused, write_bench


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


# ---- several instruments

TWINS = """\
import sys
sys.path.insert(0, {tests!r})
import plain_twin
from drivers.simulated.twins import TWINS
TWINS["plain"] = "plain_twin"
from labkit.cli import main
main()
"""
DRIVERS_TESTS = Path(__file__).parent.parent / "drivers"


def write_plain(folder: Path, *names: str, chip: bool = False) -> Path:
    """A bench of plain twins, with a small chip where asked for."""
    sys.path.insert(0, str(DRIVERS_TESTS))
    try:
        from plain_twin import bench_text
    finally:
        sys.path.remove(str(DRIVERS_TESTS))
    text = bench_text(*names)
    if chip:
        _, _, rest = BENCH.partition("  chip:\n")
        section = rest.partition("envelope:")[0]
        text = text.replace("instruments:\n", f"instruments:\n  chip:\n{section}", 1)
    path = folder / "several.yaml"
    path.write_text(text, "utf-8")
    return path


@contextmanager
def plain_serving(bench: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """``labkit simulate`` in a process that knows the model ``plain``."""
    root = str(Path(__file__).parent.parent.parent)
    process = subprocess.Popen(
        [sys.executable, "-c", TWINS.format(tests=str(DRIVERS_TESTS)), "simulate", str(bench), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(PYTHONPATH=os.pathsep.join((root, os.environ.get("PYTHONPATH", "")))),
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said


def rows_of(process: subprocess.Popen[str], count: int) -> dict[str, tuple[str, str]]:
    """The table as name -> (over, address)."""
    assert process.stdout is not None
    head = process.stdout.readline()
    assert head.split() == ["instrument", "model", "over", "address"], head
    found = {}
    for _ in range(count):
        name, _, over, address = re.split(r"  +", process.stdout.readline().strip())
        found[name] = (over, address)
    return found


def ask(address: str, question: str, **options: object) -> str:
    manager = pyvisa.ResourceManager("@py")
    with manager.open_resource(address, read_termination="\n", write_termination="\n", **options) as link:
        return link.query(question)


def test_every_simulated_instrument_of_the_file_is_served(tmp_path: Path) -> None:
    bench = write_plain(tmp_path, "sock", "hislip", "gpib", "usb", chip=True)
    with plain_serving(bench, "--port", "0") as process:
        rows = rows_of(process, 6)
        assert list(rows) == ["chip", "chip (events)", "sock", "hislip", "gpib", "usb"]
        assert {name for name, (over, _) in rows.items() if over == "HiSLIP"} == {"hislip"}
        assert re.fullmatch(r"TCPIP0::127\.0\.0\.1::hislip0,\d+::INSTR", rows["hislip"][1])
        assert ask(rows["chip"][1], "*IDN?").startswith("PCMLAB,")
        for name in ("sock", "hislip", "gpib", "usb"):
            assert ask(rows[name][1], "*IDN?").startswith("PLAIN INSTRUMENTS,")
            assert ask(rows[name][1], f"ECHO? {name}") == name
        ports = {address for _, address in rows.values()}
        assert len(ports) == 6


def test_gpib_and_usb_over_hislip_and_json(tmp_path: Path) -> None:
    bench = write_plain(tmp_path, "sock", "gpib", "usb", "vxi")
    with plain_serving(bench, "--port", "0", "--hislip", "--json") as process:
        assert process.stdout is not None
        text = ""
        while not text.endswith("\n}\n"):
            text += process.stdout.readline()
        served = json.loads(text)["instruments"]
        assert [(each["name"], each["over"], each["model"]) for each in served] == [
            ("sock", "raw socket", "plain"),
            ("gpib", "HiSLIP", "plain"),
            ("usb", "HiSLIP", "plain"),
            ("vxi", "HiSLIP", "plain"),
        ]
        for each in served:
            assert str(each["port"]) in each["address"]
            assert ask(each["address"], "ECHO? 1") == "1"


def test_some_of_the_instruments_at_ports_in_a_row(tmp_path: Path) -> None:
    bench = write_plain(tmp_path, "sock", "hislip", "gpib")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with plain_serving(bench, "--port", str(port), "--instrument", "gpib", "--instrument", "sock") as process:
        rows = rows_of(process, 2)
        assert [address.split("::")[2] for _, address in rows.values()] == [str(port), str(port + 1)]
        assert list(rows) == ["sock", "gpib"]


def test_one_twin_alone_is_one_address(tmp_path: Path) -> None:
    bench = write_plain(tmp_path, "sock", "hislip")
    with plain_serving(bench, "--port", "0", "--instrument", "hislip") as process:
        assert process.stdout is not None
        assert ask(process.stdout.readline().strip(), "ECHO? 1") == "1"


def test_faults_from_the_command_line(tmp_path: Path) -> None:
    bench = write_plain(tmp_path, "sock")
    with plain_serving(
        bench, "--port", "0", "--fault", "sock.delay=0.3@1", "--fault", "sock.vanish@3"
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert ask(address, "ECHO? 1") == "1"
        began = time.monotonic()
        assert ask(address, "ECHO? 2") == "2"
        assert time.monotonic() - began >= 0.3
        assert ask(address, "ECHO? 3") == "3"
        with socket.create_connection(("127.0.0.1", int(address.split("::")[2])), timeout=10) as peer:
            peer.sendall(b"ECHO? 4\n")
            assert peer.recv(100) == b""


def test_what_cannot_be_served_so(tmp_path: Path) -> None:
    bench = write_bench(tmp_path)
    refused(labkit("simulate", bench, "--fault", "chip.cut"), 4, "chip.cut", "SIM:FAUL")
    refused(labkit("simulate", bench, "--instrument", "smu"), 4, "'smu'", "chip")
    smu = tmp_path / "smu.yaml"
    smu.write_text(
        "version: 1\nname: t\ninstruments:\n  smu: {driver: keithley-2600, address: GPIB0::26::INSTR, "
        'backend: "@pcm", simulated: {model: keithley-2636b}}\n'
    )
    refused(labkit("simulate", smu, "--fault", "smu.smoke"), 4, "smoke", "vanish")
    two = write_bench(
        tmp_path,
        ("envelope:", BENCH.partition("instruments:\n")[2].partition("envelope:")[0].replace("chip", "chap")
         .replace("pcm-mock", "pcm-mick") + "envelope:"),
        name="two.yaml",
    )  # fmt: skip
    refused(labkit("simulate", two, "--event-port", "0"), 4, "--event-port", "2 are served")
    refused(labkit("simulate", two, "--port", "65534"), 4, "not enough TCP ports")
