"""PyMeasure's Keithley2600, unmodified, goes through every public name against the simulated instrument."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pyvisa
from pymeasure.adapters import VISAAdapter
from pymeasure.instruments import Instrument
from pymeasure.instruments.generic_types import SCPIMixin
from pymeasure.instruments.keithley import keithley2600 as theirs
from referee_keithley_2600 import REFEREE
from tsp_bench import GPIB, write_bench

from drivers.simulated.registry import open_bench


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(theirs.time, "sleep", lambda seconds: None)
    path = write_bench(tmp_path, model="keithley-2602b", ohm="1 kOhm")
    with open_bench(path), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PyMeasure does not know whether the 2600 speaks SCPI
        adapter = VISAAdapter(GPIB, visa_library=f"{path}@pcm", timeout=300)
        yield theirs.Keithley2600(adapter)
        adapter.close()
        adapter.manager.close()


def both(value: Any, low: float = 0.0) -> Callable[[Any, str], None]:
    """Set it, see it arrive, read it back."""

    def check(owner: Any, name: str) -> None:
        setattr(owner, name, value)
        found = getattr(owner, name)
        assert found == value if isinstance(value, str) else found == pytest.approx(value, rel=1e-3, abs=low)

    return check


def near(value: float, rel: float = 2e-3) -> Callable[[Any, str], None]:
    """Read what half a volt on a kiloohm gives."""

    def check(owner: Any, name: str) -> None:
        owner.write("source.output = 1")
        owner.write("source.levelv = 0.5")
        assert getattr(owner, name) == pytest.approx(value, rel=rel)

    return check


def call(*arguments: Any, leaves: dict[str, float] | None = None, **named: Any) -> Callable[[Any, str], None]:
    """Call it; the instrument's attributes are then as said."""

    def check(owner: Any, name: str) -> None:
        getattr(owner, name)(*arguments, **named)
        for attribute, value in (leaves or {}).items():
            assert owner.ask(attribute) == pytest.approx(value), attribute

    return check


def gives(value: Any, *arguments: Any) -> Callable[[Any, str], None]:
    def check(owner: Any, name: str) -> None:
        found = getattr(owner, name)
        found = found(*arguments) if callable(found) else found
        assert found.strip() == value if isinstance(value, str) else found == value

    return check


def raises(error: type[Exception], *arguments: Any, code: int = 0) -> Callable[[Any, str], None]:
    def check(owner: Any, name: str) -> None:
        with pytest.raises(error):
            getattr(owner, name)(*arguments)
        if code:
            assert code in [found[0] for found in owner.check_errors()]

    return check


def nplc(owner: Any, name: str) -> None:
    assert owner.ask("measure.nplc") == 1.0
    assert getattr(owner, name) == 25, "reads 1 as the second of its limits"
    with pytest.raises(ValueError, match="not in list"):
        setattr(owner, name, 1)
    setattr(owner, name, 0.001)
    assert owner.check_errors() == [(1103, "Parameter too small")], "sends the index, 0"


def negative_limit(owner: Any, name: str) -> None:
    both(1e-3)(owner, name)
    setattr(owner, name, -1)
    assert owner.check_errors() == [(1103, "Parameter too small")]


def errors_in_turn(owner: Any, name: str) -> None:
    owner.write("x = = 1")
    owner.write("source.nothing()")
    found = getattr(owner, name)()
    assert [code for code, _ in found] == [-285, -286] if hasattr(owner, "channel") else [-285, -285]
    assert getattr(owner, name)() == []


def voltage_range(owner: Any, name: str) -> None:
    owner.source_voltage_range = 6
    setattr(owner, name, 1)
    assert getattr(owner, name) == 6, "what is sourced is measured on the source's range"
    owner.source_mode = "current"
    assert getattr(owner, name) == 1


def block(owner: Any, name: str) -> None:
    owner.write("format.data = format.REAL32 format.byteorder = format.LITTLEENDIAN")
    found = getattr(owner, name)("printnumber(1, 10)", header_bytes=2, termination_bytes=-1, dtype="<f4")
    assert found.tolist() == [1.0, 10.0]
    assert owner.check_errors() == [(-420, "Query UNTERMINATED")]


def too_high(owner: Any, name: str) -> None:
    both(20.0)(owner, name)
    setattr(owner, name, 200)
    assert owner.check_errors() == [(1102, "Parameter too big")]


def written(owner: Any, name: str) -> None:
    getattr(owner, name)("source.levelv = 0.25")
    assert owner.ask("source.levelv") == 0.25


def cleared(owner: Any, name: str) -> None:
    owner.write("x = = 1")
    getattr(owner, name)()
    assert owner.next_error == (0, "Queue Is Empty")


def was_reset(owner: Any, name: str) -> None:
    written(owner.ChA, "write")
    getattr(owner, name)()
    assert owner.ChA.ask("source.levelv") == 0.0


def shut_down(owner: Any, name: str) -> None:
    owner.ChA.source_output = "ON"
    getattr(owner, name)()
    assert owner.isShutdown
    assert owner.ChA.source_output == "ON"


def channel_shut_down(owner: Any, name: str) -> None:
    near(0.5)(owner, "voltage")
    call(leaves={"source.levelv": 0, "source.output": 0})(owner, name)


CHECKS: dict[str, Callable[[Any, str], None]] = {
    "ChA": lambda owner, name: gives("a")(getattr(owner, name), "channel"),
    "ChB": lambda owner, name: gives("b")(getattr(owner, name), "channel"),
    "ask": gives("2.00000e+00", "print(2)"),
    "binary_values": block,
    "check_errors": errors_in_turn,
    "clear": cleared,
    "complete": gives("1"),
    "error": gives((0, "Queue Is Empty")),
    "id": gives("Keithley Instruments Inc., Model 2602B, 1234567, 3.2.2"),
    "next_error": gives((0, "Queue Is Empty")),
    "options": raises(pyvisa.errors.VisaIOError, code=-285),
    "reset": was_reset,
    "shutdown": shut_down,
    "status": gives("0"),
    "values": gives([1.0], "print(1)"),
    "ChA.apply_current": call(1e-3, 1.0, leaves={"source.func": 0, "source.rangei": 1e-3, "source.limitv": 1.0}),
    "ChA.apply_voltage": call(1.0, 1e-3, leaves={"source.func": 1, "source.rangev": 1.0, "source.limiti": 1e-3}),
    "ChA.ask": gives(1.0, "measure.nplc"),
    "ChA.auto_range_source": call(leaves={"source.autorangev": 1}),
    "ChA.binary_values": raises(TypeError, "source.levelv"),
    "ChA.channel": gives("a"),
    "ChA.check_errors": errors_in_turn,
    "ChA.compliance_current": negative_limit,
    "ChA.compliance_voltage": too_high,
    "ChA.current": near(0.5e-3),
    "ChA.current_range": both(1e-3),
    "ChA.instrument": lambda owner, name: gives(owner.instrument.id)(getattr(owner, name), "id"),
    "ChA.measure_current": call(0.1, 1e-3, False, leaves={"measure.nplc": 0.1, "measure.rangei": 1e-3}),
    "ChA.measure_nplc": nplc,
    "ChA.measure_voltage": call(0.1, leaves={"measure.nplc": 0.1, "measure.autorangev": 1}),
    "ChA.ramp_to_current": call(1e-3, 3, 0, leaves={"source.leveli": 1e-3}),
    "ChA.ramp_to_voltage": call(0.5, 3, 0, leaves={"source.levelv": 0.5}),
    "ChA.resistance": near(1000.0),
    "ChA.shutdown": channel_shut_down,
    "ChA.source_current": both(1e-3),
    "ChA.source_current_range": both(1e-3),
    "ChA.source_mode": both("current"),
    "ChA.source_output": both("ON"),
    "ChA.source_voltage": both(0.5),
    "ChA.source_voltage_range": both(6.0),
    "ChA.values": gives([1.0], "measure.nplc"),
    "ChA.voltage": near(0.5),
    "ChA.voltage_range": voltage_range,
    "ChA.wires_mode": both("4"),
    "ChA.write": written,
}  # fmt: skip


def public(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_the_table_has_every_public_name() -> None:
    own = public(theirs.Keithley2600) | public(SCPIMixin) | {"ChA", "ChB"}
    own |= {"ask", "values", "binary_values", "shutdown"} & set(dir(Instrument))
    channel = {f"ChA.{name}" for name in public(theirs.Channel) | {"channel", "instrument"}}
    names = [line.name for line in REFEREE]
    assert sorted(names) == sorted(own | channel)
    assert set(names) == set(CHECKS)


@pytest.mark.parametrize("line", REFEREE, ids=lambda line: line.name)
def test_it_does_as_the_table_says(driver: Any, line: Any) -> None:
    head, _, rest = line.name.rpartition(".")
    owner = getattr(driver, head) if head else driver
    CHECKS[line.name](owner, rest)
    assert driver.check_errors() == [], "and leaves no error behind"
