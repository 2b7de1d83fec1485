"""Which sockets each kind of instrument has, by the names the wiring of a bench file gives them."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["GROUND", "channel_problem", "matrix_line_of"]

GROUND = "ground"

_ROW, _COLUMN = re.compile(r"[A-H]"), re.compile(r"[1-9]\d{0,2}", re.ASCII)

_CHANNELS: dict[str, tuple[str, str]] = {
    "keithley-2600": (r"[ab]", "a or b"),
    "keithley-707b": (r"[A-H]|[1-9]\d{0,2}", "rows A to H, columns from 1"),
    "keithley-4200a": (
        r"(smu|gndu|vsu|vmu)\d*|pmu[1-9]\d*_[12]|(cvu|cvh|cvl)\w*", "smu1.., and pmu1_1, pmu1_2.. (card_channel)"
    ),
    "keysight-81160a": (r"[12]n?", "1 or 2, and 1n or 2n with the complement"),
    "keysight-33500": (r"[12]", "1 or 2"),
    "keysight-b1500a": (
        r"(10|[1-9])(0[12])?", "slots 1 to 10, channels of a slot with two are 101, 102 .. 1001, 1002"
    ),
    "keysight-b2900": (r"[12]", "1 or 2"),
    "keysight-infiniivision": (r"[1-4]", "1 to 4"),
    "tektronix-scope": (r"[1-4]", "1 to 4"),
}  # fmt: skip
_CELL = re.compile(r"(top|wl|bl)(0|[1-9]\d*)", re.ASCII)


def channel_problem(entry: Any, channel: str) -> str | None:
    """Return what is wrong with a channel's name, None where this instrument can have it.

    Parameters
    ----------
    entry
        The instrument's section of the bench file.
    channel : str
        What stands behind the instrument's name.
    """
    if entry.driver == "discrete":
        return _problem_of_cells(entry, channel)
    if entry.driver == "pcm-controller":
        return "a chip behind a controller board has no sockets; its board reaches the cells"
    if entry.driver in ("lakeshore-336", "temptronic-ats"):
        return "a temperature controller has no sockets to wire; a chip names its input as thermometer"
    known = _CHANNELS.get(entry.driver)
    if known is None or re.fullmatch(known[0], channel, re.ASCII):
        return None
    return f"{entry.driver} has no such channel; it has {known[1]}"


def matrix_line_of(channel: str) -> tuple[str, str | int] | None:
    """Return what line of a matrix a channel is: ``("row", "A")`` or ``("column", 7)``."""
    if _ROW.fullmatch(channel):
        return "row", channel
    return ("column", int(channel)) if _COLUMN.fullmatch(channel) else None


def _problem_of_cells(entry: Any, channel: str) -> str | None:
    match = _CELL.fullmatch(channel)
    if entry.access == "none":
        cells = entry.rows * entry.cols
        said = f"cells without transistors have top0 .. top{cells - 1} and bottom"
        good = channel == "bottom" or (match is not None and match[1] == "top" and int(match[2]) < cells)
    else:
        said = f"cells with transistors have wl0 .. wl{entry.rows - 1}, bl0 .. bl{entry.cols - 1} and sl"
        lines = {"wl": entry.rows, "bl": entry.cols}
        good = channel == "sl" or (match is not None and int(match[2]) < lines.get(match[1], 0))
    return None if good else f"there is no such contact; {said}"
