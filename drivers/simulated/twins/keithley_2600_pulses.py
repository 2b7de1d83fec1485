"""The factory scripts KIPulse of the 2600: pulse trains that are configured under a tag and run from there.

The functions, what they return and the fields of ``QueryPulseConfig`` are the manual's (2600 reference manual, section
13; instruments §2.1); what a script checks and says is a default. Digital lines are not there: what stands behind
`tag` in a call is not looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from drivers.simulated.twins.keithley_2600_buffer import Buffer
from drivers.simulated.twins.keithley_2600_smu import Smu
from drivers.simulated.twins.tsp_errors import Refused, RuntimeFault
from drivers.simulated.twins.tsp_objects import WRONG_TYPE, Node

if TYPE_CHECKING:
    from drivers.simulated.twins.keithley_2600 import Keithley2600Twin

__all__ = ["add_pulse_scripts"]

SHORTEST_ON_S = 100e-6
"""Least width of a pulse: the 100 us class (instruments §2.1)."""

_DONE = "PulseTest Configured"
_RAN = "PulseTest Completed"


@dataclass(frozen=True, slots=True)
class _Train:
    smu: Smu
    volts: bool
    bias: float
    levels: tuple[float, ...]
    limit: float
    on_s: float
    off_s: float
    buffer: Buffer | None
    tag: int
    kind: str


def add_pulse_scripts(twin: Keithley2600Twin) -> None:
    """Make the functions of KIPulse globals."""
    trains: dict[int, _Train] = {}
    smus = {id(smu.node): smu for smu in twin.smus.values()}

    def smu_of(node: Any) -> Smu:
        found = smus.get(id(node))
        if found is None:
            raise RuntimeFault("the first parameter must be a SMU")
        return found

    def configure(volts: bool, kind: str, arguments: tuple[Any, ...]) -> tuple[bool, str]:
        count = {"": 9, "Lin": 10, "Log": 10}[kind]
        if len(arguments) < count:
            return False, f"Parameter {len(arguments) + 1} is missing"
        smu, bias, *levels = arguments[: 3 if not kind else 4]
        limit, on_s, off_s, points, buffer, tag = arguments[3 if not kind else 4 : count]
        channel = smu_of(smu)
        numbers = (bias, *levels, limit, on_s, off_s, points, tag)
        if not all(isinstance(each, int | float) for each in numbers):
            return False, "A parameter that should be a number is none"
        if buffer is not None and not isinstance(buffer, Buffer):
            return False, "The buffer parameter is no reading buffer"
        number = int(points)
        if number < 1:
            return False, "The number of points must be at least 1"
        if kind == "Log":
            if levels[0] * levels[1] <= 0:
                return False, "A logarithmic sweep cannot pass zero"
            values = np.copysign(np.geomspace(abs(levels[0]), abs(levels[1]), number), levels[0])
        else:
            values = np.linspace(levels[0], levels[-1], number)
        train = _Train(
            channel, volts, float(bias), tuple(map(float, values)), float(limit), float(on_s), float(off_s),
            buffer, int(tag), kind,
        )  # fmt: skip
        fault = _fault(train)
        if fault is not None:
            return False, fault
        trains[train.tag] = train
        return True, _DONE

    def initiate(tag: Any) -> tuple[bool, str]:
        train = trains.get(tag)
        if train is None:
            return False, f"No pulse test is configured with tag {tag}"
        fault = _fault(train) or (None if train.smu.source.is_on else "The SMU output must be on")
        if fault is not None:
            return False, fault
        _run(train)
        return True, _RAN

    def query(tag: Any) -> Any:
        train = trains.get(tag)
        if train is None:
            return None
        return _described(train)

    for volts, name in ((True, "VMeasureI"), (False, "IMeasureV")):
        for kind in ("", "Lin", "Log"):
            suffix = f"Sweep{kind}" if kind else ""
            twin.lua.put(
                f"ConfigPulse{name}{suffix}",
                lambda *arguments, volts=volts, kind=kind: configure(volts, kind, arguments),
            )
        twin.lua.put(f"Pulse{name}", _simple(smu_of, volts))
    twin.lua.put("InitiatePulseTest", initiate)
    twin.lua.put("QueryPulseConfig", query)


def _fault(train: _Train) -> str | None:
    """Say what forbids a train, None where nothing does."""
    source, measure = train.smu.source, train.smu.measure
    name, other = ("v", "i") if train.volts else ("i", "v")
    top = source[f"range{name}"] * 1.01
    if source.is_volts != train.volts:
        return "The source function of the SMU does not match the pulse test"
    if source[f"autorange{name}"] or measure[f"autorange{other}"]:
        return "Source and measure autorange must be off"
    if measure["autozero"] == 2:
        return "Autozero must not be automatic"
    if max(abs(level) for level in (train.bias, *train.levels)) > top:
        return "The bias or a level is outside the source range"
    if train.on_s < SHORTEST_ON_S or train.off_s <= 0:
        return f"ton must be at least {SHORTEST_ON_S:g} s and toff positive"
    if measure["nplc"] / train.smu.line_hz > train.on_s:
        return "ton is shorter than the measurement; reduce nplc"
    if train.buffer is not None and not train.buffer["appendmode"]:
        return "The buffer's appendmode must be 1"
    return None


def _run(train: _Train) -> None:
    smu, name = train.smu, "v" if train.volts else "i"
    source, measured = smu.source, "i" if train.volts else "v"
    limit = f"limit{measured}"
    before = source[limit]
    aperture_s = smu.measure["nplc"] / smu.line_hz
    source.write(limit, train.limit)
    try:
        for level in train.levels:
            begun_ns = smu.bench.now_ns
            source.set_level(name, level)
            smu.wait_s(max(0.0, train.on_s - aperture_s - _CONVERSION_LEFT_S))
            smu.measure.burst(measured, (train.buffer,), 1)
            smu.wait_s(max(0.0, train.on_s - (smu.bench.now_ns - begun_ns) * 1e-9))
            source.set_level(name, train.bias)
            smu.wait_s(train.off_s)
    finally:
        source.write(limit, before)


_CONVERSION_LEFT_S = 40e-6
"""Seconds between the end of an aperture and the end of its pulse: a default."""


def _described(train: _Train) -> Node:
    found = Node(cached=False)
    words = (
        f"tag = {train.tag}\nfunc = {int(train.volts)}\nbias = {train.bias:g}\nlimit = {train.limit:g}\n"
        f"ton = {train.on_s:g}\ntoff = {train.off_s:g}\npoints = {len(train.levels)}\n"
    )
    found.add(
        tostring=lambda: words,
        tag=train.tag,
        smu=train.smu.node,
        func=int(train.volts),
        bias=train.bias,
        limit=train.limit,
        ton=train.on_s,
        toff=train.off_s,
        points=len(train.levels),
        sourcevalues=list(train.levels),
    )
    if train.kind:
        found.add(start=train.levels[0], stop=train.levels[-1])
    else:
        found.add(level=train.levels[0])
    if train.buffer is not None:
        found.add(buf=train.buffer)
    return found


def _simple(smu_of: Any, volts: bool) -> Any:
    """Return ``PulseVMeasureI``: a train without preparation, timed by delays, into nvbuffer1 (times in nvbuffer2)."""

    def run(smu: Any, bias: Any, level: Any, on_s: Any, off_s: Any, points: Any) -> None:
        if not all(isinstance(each, int | float) for each in (bias, level, on_s, off_s, points)):
            raise Refused(*WRONG_TYPE)
        channel = smu_of(smu)
        name, buffer = ("v" if volts else "i"), channel.nvbuffers[0]
        source = channel.source
        source.write("func", int(volts))
        source.write(f"level{name}", bias)
        if not source.is_on:
            source.write("output", 1)
        buffer.readings.clear()
        for _ in range(int(points)):
            source.write(f"level{name}", level)
            begun_ns = channel.bench.now_ns
            channel.measure.burst("i" if volts else "v", (buffer,), 1)
            channel.wait_s(max(0.0, on_s - (channel.bench.now_ns - begun_ns) * 1e-9))
            source.write(f"level{name}", bias)
            channel.wait_s(off_s)
        source.write("output", 0)

    return run
