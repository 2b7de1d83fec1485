"""The worked exchanges of controller-protocol §9: ``labkit simulate`` in one process, plain pyvisa-py in another.

Replies are compared whole, but for what the manual leaves to chance: boot ids, board times and measured values.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvisa

CELLS = 1024 * 1024
TOKEN = "bench3-7f3a"
BENCH = """\
version: 1
name: worked exchanges
instruments:
  chip:
    driver: pcm-controller
    address: TCPIP0::pcm-mock::5025::SOCKET
    backend: "@pcm"
    simulated: {model: pcm-controller, card: ibm90, rows: 1024, cols: 1024, seed: 9}
"""


class Host:
    """A script's view of the board: pyvisa and nothing of ours."""

    def __init__(self, manager: pyvisa.ResourceManager, address: str) -> None:
        self._link: Any = manager.open_resource(
            address, read_termination="\n", write_termination="\n", timeout=5_000
        )

    def send(self, text: str, block: bytes | None = None, tail: str = "") -> None:
        data = b"" if block is None else f"#{len(str(len(block)))}{len(block)}".encode() + block
        self._link.write_raw(text.encode() + data + tail.encode() + b"\n")

    def line(self) -> str:
        return str(self._link.read())

    def ask(self, text: str, block: bytes | None = None, tail: str = "") -> str:
        self.send(text, block, tail)
        return self.line()

    def fetch(self, text: str) -> tuple[str, bytes]:
        """Ask for a block: what stands before it, and its contents."""
        self.send(text)
        self._link.read_termination = None
        try:
            head = b""
            while not head.endswith(b"#"):
                head += self._link.read_bytes(1)
            digits = int(self._link.read_bytes(1))
            size = int(self._link.read_bytes(digits))
            data = self._link.read_bytes(size + 1, chunk_size=size + 1) if size else self._link.read_bytes(1)
        finally:
            self._link.read_termination = "\n"
        assert data[-1:] == b"\n"
        return head.decode() + f"{digits}{size}", data[:-1]

    def close(self) -> None:
        self._link.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    bench = tmp_path_factory.mktemp("bench") / "bench.yaml"
    bench.write_text(BENCH)
    command = [sys.executable, "-m", "labkit.cli", "simulate", str(bench), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        found = re.search(r"TCPIP0::\S+::SOCKET", server.stdout.readline())
        assert found is not None
        yield found[0]
        server.terminate()
        assert server.wait(60) == 0


@pytest.fixture(scope="module")
def manager() -> Iterator[pyvisa.ResourceManager]:
    manager = pyvisa.ResourceManager("@py")
    yield manager
    manager.close()


def test_the_five_exchanges(address: str, manager: pyvisa.ResourceManager, tmp_path: Path) -> None:
    host = Host(manager, address)
    boot = happy_path(host)
    refused_commands(host)
    over_current(host)
    host = link_drop(host, manager, address, boot)
    emergency_stop(host, Host(manager, address))
    host.close()


def happy_path(host: Host) -> str:  # 9.1
    assert host.ask("*IDN?") == "PCMLAB,PCMC-1M-SIM,0001,1.0.0"
    assert host.ask(f'SYST:LOCK:REQ? "{TOKEN}";:SYST:CAP?;:ARR:GEOM?;:SYST:LIM:BLOC?') == (
        "1;1.1,CORE,MVM,TEMP,EVEN,SIM;1,1024,1024;16777216"
    )
    boot, last = host.ask("SYST:BOOT?;:PROG:LAST?").split(";")
    assert 1 <= int(boot) < 2**32
    assert last == "0,0,0"
    assert host.ask("ARR:POW ON;*WAI;:OUTP ON;*OPC?") == "1"
    assert host.ask("SEL:RECT 1,0,0,0,1024,1024;COUN? 1") == "1048576"
    host.send("PULS:DEF 2,5E-9,5E-8,5E-9,1E-6;KIND 2,RES;UNIT 2,A;FSC 2,5E-4")
    host.send("FORM:PROG U8")
    amplitudes = np.full(CELLS, 160, np.uint8).tobytes()
    host.send("PROG:CELL 37,1,2,", amplitudes)
    running = host.ask("PROG:STAT?")
    done = re.fullmatch(r"37,RUN,(\d+),32,1048576,(\d+),0,(\d+),0", running)
    assert done is not None, running
    assert int(done[1]) == int(done[2])
    crc = zlib.crc32(TOKEN.encode() + b"37,1,2,#71048576" + amplitudes)
    assert host.ask("SYST:TAG? 9;*OPC?;:PROG:LAST?") == f"9;1;37,1048576,{crc}"
    begun = int(done[3])
    assert host.ask("PROG:STAT?") == f"37,DONE,1048576,0,1048576,1048576,0,{begun},{begun + 32_768_000}"
    assert host.ask("READ:INIT 1;*OPC?") == "1"
    assert host.ask("READ:STAT?") == "1,DONE,1048576,1048576"
    head, data = host.fetch("READ:DATA? 0,1048576")
    assert head == "1,0,C,#74194304"
    assert np.isfinite(np.frombuffer(data, "<f4")).mean() > 0.99
    head, data = host.fetch("READ:TST? 0,1048576")
    assert head == "1,0,#78388608"
    stamps = np.frombuffer(data, "<u8")
    assert np.all(np.diff(stamps.astype(np.int64)) >= 0)
    head, data = host.fetch("READ:FLAG? 0,1048576")
    assert head == "1,0,#71048576"
    assert host.ask("SYST:ERR?") == '0,"No error"'
    # The four cells of the manual, whose CRC it prints
    host.send("SEL:LIST 2,", np.arange(4, dtype="<u4").tobytes())
    assert host.ask("PROG:CELL 41,2,2,", bytes.fromhex("00800AFF"), ";*OPC?") == "1"
    assert host.ask("PROG:LAST?") == "41,4,423852106"
    return boot


def refused_commands(host: Host) -> None:  # 9.2
    host.send("PROG:CELL 42,1,2,", bytes(100))
    assert host.ask("SYST:ERR?") == ('103,"Block length does not match selection;expected 1048576 got 100"')
    assert host.ask("PROG:LAST?") == "41,4,423852106"
    host.send("PROG:CELL 41,1,2,", bytes(CELLS))
    assert host.ask("SYST:ERR?") == '106,"Batch id not newer;last 41 got 41"'
    host.send("PROG:CEL 42,1,2,", bytes(4))
    assert host.ask("SYST:ERR?") == '-113,"Undefined header;PROG:CEL"'
    assert host.fetch("READ:DATA? 0,2000000") == ("1,0,C,#10", b"")
    assert host.ask("SYST:ERR?") == '105,"Result buffer empty;available 1048576"'


def over_current(host: Host) -> None:  # 9.3
    host.send("SIM:FAUL OCP,5024")
    amplitudes = np.full(CELLS, 150, np.uint8)
    crc = zlib.crc32(TOKEN.encode() + b"43,1,2,#71048576" + amplitudes.tobytes())
    assert host.ask("PROG:CELL 43,1,2,", amplitudes.tobytes(), ";*WAI;:PROG:LAST?") == f"43,5024,{crc}"
    assert host.ask("SYST:ERR?") == '202,"Over-current shutdown;batch 43 done 5024 open 32"'
    assert re.fullmatch(r"43,TRIP,5024,32,1048576,5024,202,\d+,\d+", host.ask("PROG:STAT?"))
    assert host.fetch("PROG:FLAG? 5024,32") == ("43,5024,#232", bytes([4] * 32))
    assert host.ask("ARR:POW?") == "TRIP"
    host.send("ARR:POW OFF")
    assert host.ask("ARR:POW ON;*WAI;:OUTP ON;*OPC?") == "1"
    host.send("SEL:LIST 3,", np.arange(5024, 5056, dtype="<u4").tobytes())
    head, data = host.fetch("READ? 3")
    assert head == "2,0,C,#3128"
    assert len(data) == 128
    amplitudes[:5056] = 0
    assert host.ask("PROG:CELL 44,1,2,", amplitudes.tobytes(), ";*OPC?") == "1"
    head, data = host.fetch("SIM:PULS? 0,0,8192")
    assert head == "0,0,#532768"
    pulses = np.frombuffer(data, "<u4")
    assert set(pulses[4:5024]) == {2}  # batches 37 and 43
    assert set(pulses[5056:]) == {2}  # 37 and 44


def link_drop(host: Host, manager: pyvisa.ResourceManager, address: str, boot: str) -> Host:  # 9.4
    host.send("SIM:FAUL DROP,RX,500000")
    last = host.ask("PROG:LAST?")
    broken = (pyvisa.errors.VisaIOError, OSError)
    with contextlib.suppress(*broken):  # the system may take all of it before it notices
        host.send("PROG:CELL 45,1,2,", np.full(CELLS, 150, np.uint8).tobytes())
    with pytest.raises(broken):
        host.ask("SYST:TAG? 1")
    host.close()
    again = Host(manager, address)
    answer = again.ask(f'SYST:LOCK:REQ? "{TOKEN}";:SYST:BOOT?;:PROG:LAST?')
    assert answer == f"1;{boot};{last}"  # same boot, 45 never accepted
    assert again.ask("FORM:PROG U8;:PROG:CELL 45,1,2,", bytes([150]) * CELLS, ";*OPC?") == "1"
    return again


def emergency_stop(host: Host, second: Host) -> None:  # 9.5
    assert (
        host.ask("SIM:TIME:RATE 1;:SIM:FAUL SLOW,1000;:SIM:FAUL?") == "SLOW"
    )  # the batch takes half a minute
    host.send("PROG:CELL 46,1,2,", bytes([150]) * CELLS, ";*OPC?")
    while not second.ask("PROG:STAT?").startswith("46,RUN,"):
        pass
    second.send("SYST:SAFE")
    assert host.line() == "1"  # finished, not succeeded
    assert re.match(r"46,SAFE,\d+,(0|32),", second.ask("PROG:STAT?"))
    host.send("SIM:FAUL:CLE SLOW")
    host.send("ARR:POW ON")
    assert host.ask("SYST:ERR?") == '-221,"Settings conflict"'
    assert host.ask("ARR:POW?") == "SAFE"
    assert host.ask("ARR:POW OFF;POW ON;*WAI;:OUTP ON;*OPC?") == "1"
    second.close()
