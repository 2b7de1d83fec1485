"""What every TSP instrument offers scripts beside its own commands: timer, delay, display, beeper, localnode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drivers.simulated.twins.tsp_errors import Refused, RuntimeFault
from drivers.simulated.twins.tsp_objects import NOT_ALLOWED, Node, between, boolean, one_of, text

if TYPE_CHECKING:
    from drivers.simulated.twins.tsp import TspTwin

__all__ = ["add_library", "display", "local_node"]

NOBODY = "program aborted, nobody is at the front panel"
"""Words of the run-time error where a script waits for a key: a default."""

LONGEST_DELAY_S = 100_000.0
"""Of ``delay``: a default."""

DISPLAY_ROWS = (20, 32)
"""Characters of the two lines of the display (a default; the 2600's display)."""

SCREEN_USER = 3


def add_library(twin: TspTwin) -> None:
    """Make the globals all TSP instruments have."""
    errors, overlapped, put = twin.errors, twin.overlapped, twin.lua.put

    def delay(seconds: Any) -> None:
        overlapped.wait_s(between(0.0, LONGEST_DELAY_S)(seconds))

    def next_error() -> tuple[int, str, int, int]:
        entry = errors.next()
        return entry.code, entry.text, entry.severity, entry.node

    queue = Node()
    queue.add(next=next_error, clear=errors.clear)
    queue.attribute("count", lambda: len(errors))
    put("errorqueue", queue)

    timer, measured, started = Node(), Node(), [0]

    def restart() -> None:
        started[0] = twin.bench.now_ns

    measured.add(t=lambda: (twin.bench.now_ns - started[0]) * 1e-9)
    timer.add(reset=restart, measure=measured)
    put("timer", timer)

    beeper = Node()
    beeper.add(ON=1, OFF=0, beep=lambda seconds, hertz: delay(seconds))
    beeper.setting("enable", 1, one_of(0, 1))
    twin.resettable.append(beeper)
    put("beeper", beeper)

    put("print", lambda *values: twin.say(twin.format.line(values)))
    put("printnumber", lambda *values: twin.say(twin.format.numbers(twin.format.printed_numbers(*values))))

    def printbuffer(*arguments: Any) -> None:
        values, fault = twin.format.printed_buffers(*arguments)
        twin.say(twin.format.numbers(values))
        if fault is not None:
            raise fault

    put("printbuffer", printbuffer)
    put("format", twin.format)
    put("status", twin.status)
    put("delay", delay)
    put("waitcomplete", lambda group=0: overlapped.finish())
    put("opc", twin.operation_complete)
    put("reset", lambda system=True: twin.reset())


def local_node(twin: TspTwin, line_hz: float) -> Node:
    """Return ``localnode``."""
    node = Node()
    node.attribute("model", lambda: twin.model)
    node.attribute("serialno", lambda: twin.serial)
    node.attribute("revision", lambda: twin.firmware)
    node.setting("description", f"Keithley {twin.model} #{twin.serial}", text)
    node.setting("linefreq", line_hz, one_of(50, 60))
    node.setting("autolinefreq", False, boolean)
    node.setting("prompts", 0, one_of(0, 1))
    node.setting("prompts4882", 1, one_of(0, 1))
    node.setting("showerrors", 0, one_of(0, 1))
    node.add(DISABLE=0, ENABLE=1, reset=twin.reset)
    return node


def display(twin: TspTwin, channels: tuple[str, ...] = ()) -> Node:
    """Return ``display``: two lines of text, which screen is shown, and no hand at the keys."""
    node = Node()
    lines = [" " * width for width in DISPLAY_ROWS]
    cursor = [1, 1, 0]

    def clear() -> None:
        lines[:] = [" " * width for width in DISPLAY_ROWS]
        cursor[:] = [1, 1, 0]
        node.write("screen", SCREEN_USER)

    def set_text(words: Any) -> None:
        # "$N" goes to the second line; other codes ($R $B $F) change the look of what follows.
        shown = text(words)
        node.write("screen", SCREEN_USER)
        while shown:
            if shown[0] == "$" and len(shown) > 1 and shown[1] in "NRBFDnrbfd":
                if shown[1] in "Nn":
                    cursor[:2] = [2, 1]
                shown = shown[2:]
                continue
            if shown[:2] == "$$":
                shown = shown[1:]
            row, column = cursor[0] - 1, cursor[1] - 1
            if column < DISPLAY_ROWS[row]:
                lines[row] = lines[row][:column] + shown[0] + lines[row][column + 1 :]
                cursor[1] += 1
            shown = shown[1:]

    def get_text(embellished: Any = False, row: Any = None, first: Any = 1, last: Any = None) -> str:
        if row is None:
            return "".join(lines) if not embellished else "$N".join(lines)
        if row not in (1, 2):
            raise Refused(*NOT_ALLOWED)
        return lines[int(row) - 1][int(first) - 1 : None if last is None else int(last)]

    def set_cursor(row: Any, column: Any, style: Any = 0) -> None:
        if row not in (1, 2) or not isinstance(column, int) or not 1 <= column <= DISPLAY_ROWS[int(row) - 1]:
            raise Refused(*NOT_ALLOWED)
        cursor[:] = [int(row), column, style]

    def wait_for_key(*_: Any) -> None:
        raise RuntimeFault(NOBODY)

    node.add(
        clear=clear,
        settext=set_text,
        gettext=get_text,
        setcursor=set_cursor,
        getcursor=lambda: tuple(cursor),
        USER=SCREEN_USER,
        sendkey=lambda key: None,
        loadmenu=Node(),
        **dict.fromkeys(("menu", "prompt", "inputvalue", "waitkey"), wait_for_key),
    )
    node.static["loadmenu"].add(add=lambda *_: None, delete=lambda *_: None, catalog=lambda: None)
    node.setting("screen", 0, one_of(0, 1, 2, SCREEN_USER))
    node.setting("locallockout", 0, one_of(0, 1))
    for number, channel in enumerate(channels):
        part, measure = Node(), Node()
        part.setting("digits", 5, one_of(4, 5, 6))
        measure.setting("func", 1, one_of(0, 1, 2, 3))
        part.add(measure=measure)
        node.add(**{channel: part, channel.upper(): number})
    if len(channels) > 1:
        node.add(**{"_".join(name.upper() for name in channels): 2})
    for name, value in {"DIGITS_4_5": 4, "DIGITS_5_5": 5, "DIGITS_6_5": 6}.items():
        node.add(**{name: value})
    for value, name in enumerate(("MEASURE_DCAMPS", "MEASURE_DCVOLTS", "MEASURE_OHMS", "MEASURE_WATTS")):
        node.add(**{name: value})
    return node
