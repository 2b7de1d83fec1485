"""A twin with a bit of everything the SCPI engine can do, for its tests."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyvisa

from drivers.simulated.scpi import block
from drivers.simulated.scpi_commands import Bytes
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.twin import TwinLink
from drivers.simulated.twins.scpi_settings import Choice, Quantity, Setting, Switch, Words
from drivers.simulated.twins.scpi_table import Call, TwinCommand, Until
from drivers.simulated.twins.scpi_twin import ScpiTwin
from drivers.simulated.twins.scpi_values import Channels, Many, Number

BENCH = """
version: 1
name: t
instruments:
  probe:
    driver: keysight-81160a
    address: "{address}"
    backend: "@pcm"
    simulated: {{model: scpi-probe, options: {options}}}
"""


class Probe(ScpiTwin):
    """Two channels with a level each."""

    channels = 2
    queue_size = 4
    names_header = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.data = b""
        self.waiting: list[Any] = []

    def rows(self) -> list[Setting]:
        """Return its settings."""
        return [
            Setting(
                "high",
                "[:SOURce]:VOLTage#[:LEVel][:IMMediate]:HIGH",
                Quantity("V", span=lambda twin, n: (twin.get("low", n), 10.0), step=0.5),
                default=1.0,
            ),
            Setting(
                "low",
                "[:SOURce]:VOLTage#[:LEVel][:IMMediate]:LOW",
                Quantity("V", span=lambda twin, n: (-10.0, twin.get("high", n))),
                default=0.0,
            ),
            Setting("frequency", "FREQuency", Quantity("HZ", span=(1e-6, 500e6)), 1e3, shared=True),
            Setting("load", "OUTPut#:LOAD", Quantity("OHM", span=(1.0, 1e6), infinite=True), 50.0),
            Setting("output", "OUTPut#[:STATe]", Switch(), False),
            Setting("current", "CURRent", Quantity("A", span=(-1e9, 1e9)), 0.0),
            Setting("shape", "FUNCtion#", Choice(("SINusoid", "PULSe"), also={"SQUare": "PULS"}), "SIN"),
            Setting("count", "COUNt", Quantity(span=(1, 100), whole=True), 1, keeps=True),
            Setting("title", "DISPlay:TEXT", Words(12), ""),
        ]

    def commands(self) -> Iterable[TwinCommand]:
        """Return its commands."""
        return [
            TwinCommand("MEASure:LIST?", self._list, (Channels(1, 4),)),
            TwinCommand("SUM?", self._sum, (Many(Number(units=("V",))),)),
            TwinCommand("DATA", self._store, (Bytes(),)),
            TwinCommand("DATA?", lambda call: block("", self.data)),
            TwinCommand("INITiate", self._initiate, (Number(units=("S",), low=0.0),)),
            TwinCommand("WAIT", self._wait_for_trigger),
            TwinCommand("LATE?", self._late),
            TwinCommand("LONG?", lambda call: "x" * 9000),
            TwinCommand("NODE#:SUB#?", lambda call: f"{call.suffixes}", most=(3, 5)),
            TwinCommand("WHINe", self._whine, (Number(whole=True),)),
        ]

    def _list(self, call: Call, channels: tuple[int, ...]) -> str:
        return ",".join(map(str, channels))

    def _sum(self, call: Call, *values: float) -> str:
        return f"{sum(values):g}"

    def _store(self, call: Call, data: memoryview) -> None:
        self.data = bytes(data)

    def _initiate(self, call: Call, seconds: float) -> None:
        self.begin(seconds)

    def _wait_for_trigger(self, call: Call) -> None:
        self.waiting.append(self.begin())

    def _late(self, call: Call) -> Until:
        return Until(lambda: not self.waiting, lambda: "late")

    def _whine(self, call: Call, code: float) -> None:
        raise ScpiError(int(code), "ouch")

    def operation_condition(self) -> int:
        """Return bit 4 while an operation goes on."""
        return 0x10 if self.operations else 0

    def trigger(self, link: TwinLink) -> None:
        """End what waits."""
        if not self.waiting:
            raise ScpiError(-211)
        self.end(self.waiting.pop())


class Plus(Probe):
    """The same with the ways of another maker."""

    plus = True
    joint = "; "
    clips = True
    texts = {-350: "Error queue overflow", 501: "Too hot"}  # noqa: RUF012


def build(name: str, simulated: Any, world: Any) -> Probe:
    """Build one."""
    kind = Plus if simulated.options.get("ways") == "plus" else Probe
    model = simulated.options.get("model", "PROBE")
    probe = kind(name, world, world.lock, maker="Maker", model=model, serial="1", firmware="2.0")
    if "errors" in simulated.options:
        probe.table.add([TwinCommand("SYSTem:ERRor[:NEXT]?", lambda call: simulated.options["errors"])])
    return probe


def bench_file(tmp_path: Path, address: str, options: str = "{}") -> Path:
    """Write a bench with a probe."""
    path = tmp_path / "bench.yaml"
    path.write_text(BENCH.format(address=address, options=options))
    return path


def opened(tmp_path: Path, address: str, ways: str = "") -> Any:
    """Open a probe as any program would."""
    path = bench_file(tmp_path, address, f"{{ways: {ways}}}" if ways else "{}")
    resource = pyvisa.ResourceManager(f"{path}@pcm").open_resource(address)
    resource.read_termination = resource.write_termination = "\n"
    resource.timeout = 200
    return resource
