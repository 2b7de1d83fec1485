"""A small complete instrument, SCPI in its manners, and bench files that hold it behind every kind of interface.

It measures with one source, keeps an error queue, a status byte with SRQ, sweeps that end by themselves, and blocks.
"""

from __future__ import annotations

import re
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drivers.simulated.terminals import Volts
from drivers.simulated.twin import Twin, TwinLink
from drivers.simulated.twins import TWINS

SOCKET = "TCPIP0::plain::5025::SOCKET"
GPIB = "GPIB0::26::INSTR"
USB = "USB0::0x05E6::0x2636::4012345::INSTR"
VXI11 = "TCPIP0::plain-vxi::inst0::INSTR"
HISLIP = "TCPIP0::plain-hislip::hislip0::INSTR"
SERIAL = "ASRL3::INSTR"
ADDRESSES = {"sock": SOCKET, "gpib": GPIB, "usb": USB, "vxi": VXI11, "hislip": HISLIP, "asrl": SERIAL}
MESSAGE_BASED = (GPIB, USB, VXI11, HISLIP)
STREAMS = (SOCKET, SERIAL)

IDN = "PLAIN INSTRUMENTS,MODEL PT1,12345,1.0"
_PON, _OPC, _QYE, _CME = 0x80, 0x01, 0x04, 0x20


def build(name: str, simulated: Any, world: Any) -> PlainTwin:
    return PlainTwin(name, world, world.lock)


def use_plain_twins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let bench files name the model ``plain``."""
    monkeypatch.setitem(TWINS, "plain", __name__)
    sys.modules.setdefault(__name__, sys.modules[build.__module__])


def write_plain_bench(folder: Path, *names: str, file: str = "bench.yaml") -> Path:
    """A bench file with plain twins of these names (all without any), keys of `ADDRESSES`."""
    path = folder / file
    path.write_text(bench_text(*names), "utf-8")
    return path


def bench_text(*names: str) -> str:
    lines = ["version: 1", "name: plain bench", "instruments:"]
    chosen = names or tuple(ADDRESSES)
    lines += [
        f'  {name}: {{driver: keithley-2600, address: "{ADDRESSES[name]}", backend: "@pcm", '
        "simulated: {model: plain}}"
        for name in chosen
    ]
    lines.append("wiring:")
    lines += [f"  - {name}.a -- 100 kOhm -- ground" for name in chosen]
    return "\n".join(lines) + "\n"


class PlainTwin(Twin):
    """One instrument; its registers are its own, not those of a link."""

    def __init__(self, name: str, bench: Any, lock: Any) -> None:
        super().__init__(name, bench, lock)
        self.errors: deque[str] = deque()
        self.esr, self.ese, self.sre = _PON, 0, 0
        self.rqs, self.reasons = False, 0
        self.obeyed: list[bytes] = []
        self.triggers = 0
        self.block = b""
        self.sweep_ends_ns: int | None = None
        self.tells_end = False
        self.output_on = False
        self.level_v = 0.0
        self.terminal = bench.terminal(f"{name}.a")

    # ---- registers
    def fail(self, code: int, text: str) -> None:
        self.errors.append(f'{code},"{text}"')
        self.esr |= _QYE if code <= -400 else _CME

    def summary(self, link: TwinLink) -> int:
        byte = 0x10 if link.output else 0
        byte |= 0x20 if self.esr & self.ese else 0
        return byte | (0x04 if self.errors else 0)

    def peek_status(self, link: TwinLink) -> int:
        reasons = self.summary(link) & self.sre & 0xBF
        if reasons & ~self.reasons:  # a new one: polled or not, an old one is no reason to ask again
            self.rqs = True
        self.reasons = reasons
        return self.summary(link) | (0x40 if self.rqs else 0)

    def status_byte(self, link: TwinLink) -> int:
        byte = self.peek_status(link)
        self.rqs = False
        return byte

    def cleared(self, link: TwinLink) -> None:
        self.rqs = False

    def triggered(self, link: TwinLink) -> None:
        self.triggers += 1

    def interrupted(self, link: TwinLink) -> None:
        self.fail(-410, "Query INTERRUPTED")

    def unterminated(self, link: TwinLink) -> None:
        self.fail(-420, "Query UNTERMINATED")

    # ---- what ends by itself
    def due_s(self) -> float | None:
        if self.sweep_ends_ns is None:
            return None
        return max(0.0, (self.sweep_ends_ns - self.bench.now_ns) * 1e-9)

    def time_passed(self) -> None:
        if self.sweep_ends_ns is not None and self.bench.now_ns >= self.sweep_ends_ns:
            self.sweep_ends_ns = None
            if self.tells_end:
                self.esr |= _OPC
                self.tells_end = False

    # ---- messages
    def frame(self, data: bytearray, *, ended: bool) -> bytes | None:
        """Line feeds in the block of LOAD end no message."""
        head = re.match(rb"LOAD #([1-9])", data)
        if head is None:
            return super().frame(data, ended=ended)
        digits = data[head.end() : head.end() + int(head[1])]
        size = head.end() + int(head[1]) + (int(digits) if digits.isdigit() else 0)
        if len(digits) < int(head[1]) or len(data) < size or (len(data) == size and not ended):
            return None
        message = bytes(data[:size])
        del data[: size + (data[size : size + 1] == b"\n")]
        return message

    def obey(self, message: bytes, link: TwinLink) -> None:
        self.time_passed()
        self.obeyed.append(message)
        head, _, rest = message.strip(b"\r\n ").partition(b" ")
        command = _COMMANDS.get(head.upper().decode("latin-1"))
        if command is None:
            if head:
                self.fail(-113, "Undefined header")
            return
        reply = command(self, rest)
        if reply is not None:
            data = reply if isinstance(reply, bytes) else reply.encode("latin-1")
            link.answer([memoryview(data), b"\n"] if data[:1] == b"#" else data + b"\n")

    def finish(self) -> None:
        if (left_s := self.due_s()) is not None:
            self.bench.pass_s(left_s)
            self.time_passed()


def _reset(twin: PlainTwin, _: bytes) -> None:
    twin.output_on, twin.level_v, twin.sweep_ends_ns = False, 0.0, None
    twin.terminal.present(Volts(0.0))


def _clear(twin: PlainTwin, _: bytes) -> None:
    twin.errors.clear()
    twin.esr, twin.rqs = 0, False


def _esr(twin: PlainTwin, _: bytes) -> str:
    value, twin.esr = twin.esr, 0
    return str(value)


def _set(name: str) -> Callable[[PlainTwin, bytes], None]:
    return lambda twin, rest: setattr(twin, name, int(rest))


def _opc(twin: PlainTwin, _: bytes) -> None:
    if twin.sweep_ends_ns is None:
        twin.esr |= _OPC
    else:
        twin.tells_end = True


def _opc_query(twin: PlainTwin, _: bytes) -> str:
    twin.finish()
    return "1"


def _sweep(twin: PlainTwin, rest: bytes) -> None:
    twin.sweep_ends_ns = twin.bench.now_ns + round(float(rest) * 1e9)


def _slow(twin: PlainTwin, rest: bytes) -> str:
    twin.bench.pass_s(float(rest))
    return f"{twin.bench.now_ns * 1e-9:.9e}"


def _error(twin: PlainTwin, _: bytes) -> str:
    return twin.errors.popleft() if twin.errors else '0,"No error"'


def _block(twin: PlainTwin, rest: bytes) -> bytes:
    size = int(rest)
    data = (bytes(range(256)) * (size // 256 + 1))[:size]
    return f"#{len(str(size))}{size}".encode() + data


def _load(twin: PlainTwin, rest: bytes) -> None:
    digits = int(rest[1:2])
    size = int(rest[2 : 2 + digits])
    twin.block = bytes(rest[2 + digits :][:size])


def _level(twin: PlainTwin, rest: bytes) -> None:
    twin.level_v = float(rest)
    twin.terminal.present(Volts(twin.level_v))


def _read(twin: PlainTwin, _: bytes) -> str:
    seen = twin.terminal.look(1e-3)
    noise = twin.bench.random(twin.name, str(len(twin.obeyed))).normal(0.0, 1e-9)
    return f"{seen.current_a + noise:.6E}"


_COMMANDS: dict[str, Callable[[PlainTwin, bytes], str | bytes | None]] = {
    "*IDN?": lambda twin, _: IDN,
    "*RST": _reset,
    "*CLS": _clear,
    "*ESE": _set("ese"),
    "*ESR?": _esr,
    "*SRE": _set("sre"),
    "*SRE?": lambda twin, _: str(twin.sre),
    "*OPC": _opc,
    "*OPC?": _opc_query,
    "SYST:ERR?": _error,
    "ECHO?": lambda twin, rest: rest,
    "ECHO:DONE?": lambda twin, _: str(len(twin.obeyed)),
    "BLOC?": _block,
    "LOAD": _load,
    "LOAD?": lambda twin, _: f"#{len(str(len(twin.block)))}{len(twin.block)}".encode() + twin.block,
    "TRIG:COUN?": lambda twin, _: str(twin.triggers),
    "SWE:INIT": _sweep,
    "SLOW?": _slow,
    "SOUR:VOLT": _level,
    "SOUR:VOLT?": lambda twin, _: f"{twin.level_v:.6E}",
    "READ?": _read,
}


def definite(data: bytes) -> bytes:
    return f"#{len(str(len(data)))}{len(data)}".encode() + data
