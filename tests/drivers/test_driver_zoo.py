"""Every driver of a bench instrument keeps the same manners: words, units and ranges of its commands."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from types import FunctionType
from typing import Any

import pytest

import drivers.instruments
from drivers.bench import BenchInstrument
from drivers.instrument import Instrument
from drivers.instruments import DRIVERS, driver_class
from drivers.properties import Control, Part
from drivers.simulated.twins import TWINS

PROPERTY_WORDS = {"Control", "Get", "Measure", "Set"}
METHOD_WORDS = {
    "Abort", "Apply", "Arm", "Ask", "Bring", "Capture", "Check", "Clear", "Close", "Configure",
    "Connect", "Download", "Fetch", "Fire", "Give", "Hold", "Identify", "Load", "Look", "Make",
    "Measure", "Move", "Open", "Prepare", "Pulse", "Put", "Read", "Release", "Reset", "Return",
    "Run", "Send", "Set", "Start", "Stop", "Store", "Switch", "Sweep", "Take", "Tell",
    "Trigger", "Upload", "Wait", "Write", "Zero",
}  # fmt: skip
UNITS = {
    "": "", "V": "_v", "A": "_a", "s": "_s", "Hz": "_hz", "Ohm": "_ohm", "K": "_k", "W": "_w", "S": "_s", "F": "_f",
    "K/s": "_k_per_s", "V/s": "_v_per_s", "degC": "_c", "PLC": "_plc", "%": "_percent", "samples/s": "_hz",
    "V/div": "_v", "s/div": "_s",
}  # fmt: skip


def modules() -> list[Any]:
    found = pkgutil.iter_modules(drivers.instruments.__path__, "drivers.instruments.")
    return [importlib.import_module(module.name) for module in found]


def parts() -> list[type[Part]]:
    """Every instrument and channel class that is defined in the zoo."""
    found = {
        kind
        for module in modules()
        for kind in vars(module).values()
        if inspect.isclass(kind)
        and issubclass(kind, Part)
        and kind.__module__.startswith("drivers.instruments.")
    }
    return sorted(found, key=lambda kind: (kind.__module__, kind.__name__))


def controls() -> list[tuple[type[Part], str, Control[Any]]]:
    return [(kind, name, found) for kind in parts() for name, found in kind.controls().items()]


def methods() -> list[tuple[type[Part], str, FunctionType]]:
    return [
        (kind, name, found)
        for kind in parts()
        for name, found in vars(kind).items()
        if isinstance(found, FunctionType) and not name.startswith("_")
    ]


def name_of(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else value if isinstance(value, str) else ""


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_bench_file_may_name_it(driver: str) -> None:
    entry = BenchInstrument(driver=driver, address="GPIB0::1::INSTR")  # type: ignore[arg-type]
    kind = driver_class(entry.driver)
    assert issubclass(kind, Instrument)
    assert kind.models
    assert not inspect.isabstract(kind)
    assert (kind.__doc__ or "").strip()


@pytest.mark.parametrize("model", TWINS)
def test_every_model_has_a_builder(model: str) -> None:
    assert callable(importlib.import_module(TWINS[model]).build)


@pytest.mark.parametrize(("kind", "name", "control"), controls(), ids=name_of)
def test_a_property_says_what_it_is(kind: type[Part], name: str, control: Control[Any]) -> None:
    doc = control.__doc__ or ""
    word = doc.split(" ", 1)[0]
    assert word in PROPERTY_WORDS, doc
    assert doc.rstrip().endswith("."), doc
    both = control.query is not None and control.command is not None
    assert (word == "Control") == both, f"{doc}: Control is for what can be asked and set"
    assert (word == "Set") == (control.query is None), f"{doc}: Set is for what can only be set"
    assert control.unit in UNITS, f"{control.unit}: SI units, or add it here with its suffix"
    assert name.endswith(UNITS[control.unit]), f"the unit {control.unit} belongs into the name"


@pytest.mark.parametrize(("kind", "name", "method"), methods(), ids=name_of)
def test_a_method_says_what_it_does(kind: type[Part], name: str, method: FunctionType) -> None:
    doc = inspect.cleandoc(
        method.__doc__ or getattr(getattr(kind.__mro__[1], name, None), "__doc__", None) or ""
    )
    assert doc.split(" ", 1)[0].strip(".,;:") in METHOD_WORDS, doc
    hints = method.__annotations__
    names = set(inspect.signature(method).parameters) - {"self"}
    assert "return" in hints, "typed"
    assert names <= set(hints), "typed"


def test_no_driver_waits_or_draws_by_itself() -> None:
    """Time and chance are arguments: no driver sleeps, looks at the clock or draws random numbers."""
    for module in modules():
        source = inspect.getsource(module)
        assert not re.search(r"\btime\.(sleep|time)\(|\brandom\.", source), module.__name__
