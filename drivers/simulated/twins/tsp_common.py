"""Common commands of a TSP instrument: lines that begin with an asterisk, beside the Lua."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.simulated.twins.tsp_errors import Entry

if TYPE_CHECKING:
    from drivers.simulated.twins.tsp import TspTwin

__all__ = ["obey_common"]

NOT_LUA = "TSP Syntax error at line 1: unexpected symbol near `*'"
"""What an unknown common command is taken for (instruments §2.1)."""


def obey_common(twin: TspTwin, line: str) -> None:
    """Act on one common command; what is none is a syntax error of Lua."""
    name, _, rest = line.partition(" ")
    reply = _answer(twin, name.upper()) if not rest.strip() else _assign(twin, name.upper(), rest.strip())
    if reply is None:
        twin.errors.add(Entry(-285, NOT_LUA))
    elif reply:
        twin.say(f"{reply}\n".encode("latin-1"))


def _answer(twin: TspTwin, name: str) -> str | None:
    """Act on a command without a value; returns its reply, "" where it has none, None where there is no such."""
    status = twin.status
    match name:
        case "*IDN?":
            return f"{twin.maker}, Model {twin.model}, {twin.serial}, {twin.firmware}"
        case "*ESE?":
            return str(status.standard.enable)
        case "*ESR?":
            return str(status.take_standard())
        case "*SRE?":
            return str(status.request_enable)
        case "*STB?":
            return str(status.byte(message_available=twin.answering))
        case "*TST?":
            return "0"
        case "*OPC?":
            twin.overlapped.finish()
            return "1"
        case "*OPC":
            twin.operation_complete()
        case "*WAI":
            twin.overlapped.finish()
        case "*RST":
            twin.reset()
        case "*CLS":
            status.clear()
        case "*TRG":
            twin.bus_trigger()
        case _:
            return None
    return ""


def _assign(twin: TspTwin, name: str, value: str) -> str | None:
    if name not in ("*ESE", "*SRE"):
        return None
    try:
        number = round(float(value))
    except ValueError:
        twin.errors.add(Entry(-104, "Data type error"))
        return ""
    if not 0 <= number <= 255:
        twin.errors.add(Entry(-222, "Parameter data out of range"))
    elif name == "*ESE":
        twin.status.standard.write("enable", number)
    else:
        twin.status.request_enable = number
    return ""
