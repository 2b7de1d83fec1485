"""A bench file with 2600 twins behind a raw socket, GPIB and HiSLIP, and ways to talk to them as any program would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyvisa

from drivers.simulated.registry import open_bench

SOCKET, GPIB, HISLIP = "TCPIP0::smu::5025::SOCKET", "GPIB0::26::INSTR", "TCPIP0::smu3::hislip0::INSTR"

_TEMPLATE = """version: 1
name: t
instruments:
  smu: {{driver: keithley-2600, address: "{socket}", backend: "@pcm",
        simulated: {{model: {model}, options: {{{options}}}}}}}
  gpib: {{driver: keithley-2600, address: "{gpib}", backend: "@pcm",
         simulated: {{model: {model}, options: {{{options}}}}}}}
  lan: {{driver: keithley-2600, address: "{hislip}", backend: "@pcm", simulated: {{model: {model}}}}}
wiring:
  - smu.a -- {ohm} -- ground
  - gpib.a -- {ohm} -- ground
  - lan.a -- {ohm} -- ground
"""


def write_bench(
    folder: Path, *, model: str = "keithley-2636b", options: str = "", ohm: str = "100 kOhm"
) -> Path:
    path = folder / "bench.yaml"
    path.write_text(
        _TEMPLATE.format(socket=SOCKET, gpib=GPIB, hislip=HISLIP, model=model, options=options, ohm=ohm)
    )
    return path


class Talk:
    """A session of plain PyVISA."""

    def __init__(self, path: Path, address: str) -> None:
        self.manager = pyvisa.ResourceManager(f"{path}@pcm")
        self.visa: Any = self.manager.open_resource(
            address, read_termination="\n", write_termination="\n", timeout=200
        )

    def write(self, *lines: str) -> None:
        for line in lines:
            self.visa.write(line)

    def ask(self, line: str) -> str:
        return str(self.visa.query(line))

    def numbers(self, line: str) -> list[float]:
        return [float(value) for value in self.ask(line).replace(", ", "\t").split("\t")]

    def error(self) -> tuple[int, str]:
        code, text, _, _ = self.ask("print(errorqueue.next())").split("\t")
        return int(float(code)), text

    def fails(self, *lines: str) -> tuple[int, str]:
        """Send lines; returns the first error they leave, having emptied the queue."""
        self.write(*lines)
        found = self.error()
        self.write("errorqueue.clear()")
        return found


@contextmanager
def talk(path: Path, address: str = SOCKET) -> Iterator[Talk]:
    with open_bench(path):
        session = Talk(path, address)
        try:
            yield session
        finally:
            session.visa.close()
            session.manager.close()
