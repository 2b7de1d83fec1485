"""Writes the page that lists the drivers of bench instruments and their twins.

::

    python tools/instrument_pages.py

The tests compare the page with what this would write.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import drivers.instruments
from drivers.instruments import DRIVERS, driver_class
from drivers.properties import Part
from drivers.simulated.twins import TWINS

HERE = Path(__file__).resolve().parents[1]
INSTRUMENTS = HERE / "docs" / "reference" / "instruments.md"

HEAD = """\
# Bench instruments

What labkit has drivers for, and each command a driver knows as a property: its unit, what it may be set to, and which
way it goes. Every set is followed by a look at the instrument's errors; every driver opens with `Driver.open(address)`,
leaves its outputs safe on the way out, and gives all its settings as `snapshot()`. How to add one: [add your own
instrument](../how-to/add-an-instrument.md).

This page is written by `tools/instrument_pages.py` from the drivers themselves.
"""


def modules() -> list[Any]:
    found = pkgutil.iter_modules(drivers.instruments.__path__, "drivers.instruments.")
    return [importlib.import_module(module.name) for module in found]


def parts_of(kind: type[Part]) -> list[type[Part]]:
    """Channels and other parts defined beside a driver."""
    stem = kind.__module__
    found = {
        part
        for module in modules()
        for part in vars(module).values()
        if inspect.isclass(part)
        and issubclass(part, Part)
        and part.__module__.startswith(stem)
        and part is not kind
        and not part.__name__.startswith("_")
    }
    return sorted(found, key=lambda part: (part.__module__, part.__name__))


def span_of(control: Any) -> str:
    if control.span is None:
        return ""
    if isinstance(control.span, str):
        return f"`{control.span}`"
    low, high = control.span
    return f"{low:g} … {high:g}"


def described(kind: type[Part]) -> Iterator[str]:
    doc = inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0].replace("\n", " ")
    yield f"### `{kind.__name__}`\n\n{doc}\n"
    controls = kind.controls()
    if controls:
        yield "| property | unit | may be | |\n|---|---|---|---|"
        for name, control in controls.items():
            text = " ".join((control.__doc__ or "").split())
            yield f"| `{name}` | {control.unit} | {span_of(control)} | {text} |"
        yield ""
    methods = [
        (name, found)
        for base in reversed(kind.__mro__)
        if base.__module__.startswith("drivers.instruments.")
        for name, found in vars(base).items()
        if isinstance(found, FunctionType) and not name.startswith("_")
    ]
    if methods:
        yield "| method | |\n|---|---|"
        for name in dict(methods):
            text = (
                inspect.cleandoc(inspect.getdoc(getattr(kind, name)) or "")
                .partition("\n\n")[0]
                .replace("\n", " ")
            )
            yield f"| `{name}` | {text.replace('|', '/')} |"
        yield ""


def instruments_page() -> str:
    lines = [HEAD, "| `driver` | class | instruments | twins (`simulated.model`) |", "|---|---|---|---|"]
    for driver in DRIVERS:
        kind = driver_class(driver)
        models = ", ".join(dict.fromkeys(kind.models))
        home = kind.__module__.rpartition(".")[2]
        twins = ", ".join(
            f"`{model}`" for model, module in TWINS.items() if module.rpartition(".")[2] == home
        )
        lines.append(f"| `{driver}` | `{kind.__name__}` | {models} | {twins} |")
    lines.append("")
    for driver in DRIVERS:
        kind = driver_class(driver)
        lines += [f"## `{driver}`\n", f"`from {kind.__module__} import {kind.__name__}`\n"]
        for part in (kind, *parts_of(kind)):
            lines += described(part)
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    INSTRUMENTS.write_text(instruments_page(), encoding="utf-8")
