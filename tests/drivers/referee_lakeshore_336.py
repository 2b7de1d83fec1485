"""PyMeasure's LakeShore3xx, unmodified, against the twin of the 336: every public name, and what came of it.

Kept as a table so that a page of the documentation can be made from it: name, verdict, remark.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["REFEREE", "Row"]


@dataclass(frozen=True)
class Row:
    """One public name of the driver.

    Attributes
    ----------
    name : str
        ``channel.name`` or name.
    verdict : str
        "works", "times out", or "fails": an error of the driver itself, which `expected` names.
    remark : str
        Why it does not work, as the manual says; or what is worth to know.
    use : callable
        Gets the driver; returns what is compared with `expected`.
    """

    name: str
    verdict: str
    use: Callable[[Any], Any]
    expected: Any = None
    remark: str = ""


def _set(channel: str, name: str, value: Any) -> Callable[[Any], Any]:
    def use(driver: Any) -> Any:
        setattr(getattr(driver, channel), name, value)
        return getattr(getattr(driver, channel), name)

    return use


def _get(channel: str, name: str) -> Callable[[Any], Any]:
    return lambda driver: getattr(getattr(driver, channel), name)


_INPUT = [
    row
    for key in "AB"
    for row in (
        Row(f"input_{key}.kelvin", "works", _get(f"input_{key}", "kelvin"), 298.15),
        Row(f"input_{key}.celsius", "works", _get(f"input_{key}", "celsius"), 25.0),
        Row(f"input_{key}.sensor", "works", _get(f"input_{key}", "sensor"), 109.735),
        Row(
            f"input_{key}.wait_for_temperature",
            "works",
            lambda driver, key=key: getattr(driver, f"input_{key}").wait_for_temperature(298.15, interval=0),
            remark="knows no invalid reading: an open sensor reads 0 K and is waited for",
        ),
    )
]
_EMPTY = [
    Row(
        f"input_{key}.kelvin",
        "works",
        _get(f"input_{key}", "kelvin"),
        0.0,
        "nothing is plugged in: the instrument answers 0, only RDGST? tells that it is no temperature",
    )
    for key in "CD"
]
_ABSENT = [
    Row(
        f"input_{key}.{name}",
        "times out",
        _get(f"input_{key}", name),
        remark="an input of option cards of other models; the 336 sets the execution error bit and says nothing",
    )
    for key in ("C1", "C2", "C3", "C4", "D1", "D2", "D3", "D4", "D5")
    for name in ("kelvin", "celsius", "sensor")
]
_OUTPUT = [
    row
    for key in (1, 2, 3, 4)
    for row in (
        Row(f"output_{key}.output", "works", _get(f"output_{key}", "output"), 0.0),
        Row(f"output_{key}.mout", "works", _set(f"output_{key}", "mout", 12.5), 12.5),
        Row(f"output_{key}.setpoint", "works", _set(f"output_{key}", "setpoint", 310.25), 310.25),
    )
] + [
    Row("output_1.range", "works", _set("output_1", "range", "high"), "high"),
    Row(
        "output_2.range",
        "works",
        _set("output_2", "range", "low"),
        "off",
        "no heater there: it goes off by itself",
    ),
    Row(
        "output_3.range",
        "works",
        _set("output_3", "range", "low"),
        "low",
        "a voltage output is off or on (low)",
    ),
    Row(
        "output_4.range",
        "works",
        _set("output_4", "range", "high"),
        "off",
        "refused with the execution error bit, which the driver does not read",
    ),
]
_COMMON = [
    Row("id", "works", lambda driver: driver.id, "LSCI,MODEL336,LSA12345/#######,2.9"),
    Row("complete", "works", lambda driver: driver.complete, "1"),
    Row("status", "works", lambda driver: driver.status, "000"),
    Row("clear", "works", lambda driver: driver.clear()),
    Row("reset", "works", lambda driver: driver.reset()),
    Row("options", "times out", lambda driver: driver.options, remark="*OPT? is none of its commands"),
    Row(
        "next_error",
        "times out",
        lambda driver: driver.next_error,
        remark="there is no error queue, only *ESR?",
    ),
    Row(
        "check_errors",
        "times out",
        lambda driver: driver.check_errors(),
        remark="there is no error queue, only *ESR?",
    ),
]

REFEREE = [*_COMMON, *_INPUT, *_EMPTY, *_ABSENT, *_OUTPUT]
