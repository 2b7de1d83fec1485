"""Commands of the simulated controller: pulse templates (controller-protocol §7.5)."""

from __future__ import annotations

import numpy as np

from drivers.simulated.controller import SimulatedController
from drivers.simulated.controller_limits import BoardLimits
from drivers.simulated.controller_settings import PulseTemplate, Shape
from drivers.simulated.controller_system_commands import board_of
from drivers.simulated.scpi import NO_VALUE, Connection, nr3
from drivers.simulated.scpi_commands import Bytes, Command, Float, Int, Word
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.scpi_parser import Unit

__all__ = ["PULSE_COMMANDS", "TEMPLATE"]

_LIMITS = BoardLimits.of(
    1, 1, 1
)  # of times, handles and rails: the electronics' own, whatever the board's limits
_TICK_NS = _LIMITS.tick_ns
_OFF_MIN_NS = round(_LIMITS.values["t_off_min"] * 1e9)
_SEGMENTS_MAX = int(_LIMITS.values["seg_max"])
TEMPLATE = Int(1, int(_LIMITS.values["puls_max"]))


def _ticks_ns(seconds: float) -> int:
    """Round to the board's clock, in nanoseconds."""
    return round(seconds * 1e9 / _TICK_NS) * _TICK_NS


def _amplitude_max(board: SimulatedController, unit: str) -> float:
    """Largest amplitude the board drives, ampere or volt."""
    return float(board.limits.values["i_max" if unit == "A" else "v_max"])


def _not_in_use(board: SimulatedController, index: int) -> None:
    if board.operation is not None and board.operation.template == index:
        raise ScpiError(206)


def _define(link: Connection, unit: Unit, index: int, *times_s: float) -> None:
    board = board_of(link)
    rise, top, fall, period = (_ticks_ns(time_s) for time_s in times_s)
    _not_in_use(board, index)
    if period < rise + top + fall + _OFF_MIN_NS:
        raise ScpiError(-221)
    board.templates[index] = PulseTemplate(Shape(rise, top, fall), period, _amplitude_max(board, "A"))


def _definition(link: Connection, unit: Unit, index: int) -> str:
    template = board_of(link).template(index)
    shape = template.trapezoid
    times_ns = (shape.rise_ns, shape.top_ns, shape.fall_ns, template.period_ns)
    return ",".join(nr3(time_ns * 1e-9) for time_ns in times_ns)


def _editable(link: Connection, index: int) -> PulseTemplate:
    """Return a template that may be changed now; 206 comes before 104."""
    board = board_of(link)
    _not_in_use(board, index)
    return board.template(index)


def _segments(link: Connection, unit: Unit, index: int, data: memoryview) -> None:
    template = _editable(link, index)
    if len(data) % 8 or not 2 <= len(data) // 8 <= _SEGMENTS_MAX:
        raise ScpiError(-222)
    pairs = np.frombuffer(data, "<f4").astype(np.float64).reshape(-1, 2)
    times_s, fractions = pairs[:, 0], pairs[:, 1]
    if not np.isfinite(pairs).all() or fractions.min() < 0 or fractions.max() > 1:
        raise ScpiError(-222)
    times_ns = np.rint(times_s * 1e9 / _TICK_NS).astype(np.int64) * _TICK_NS
    rising = bool((np.diff(times_ns) > 0).all())
    if times_s[0] or fractions[0] or fractions[-1] or not rising or not fractions.max() > 0:
        raise ScpiError(-224)
    if times_ns[-1] > template.period_ns - _OFF_MIN_NS:
        raise ScpiError(-221)
    template.set_segments(times_ns, fractions.astype(np.float32))


def _set_kind(link: Connection, unit: Unit, index: int, kind: str) -> None:
    _editable(link, index).kind = kind


def _set_unit(link: Connection, unit: Unit, index: int, drive: str) -> None:
    template = _editable(link, index)
    template.unit, template.full_scale = drive, None


def _set_full_scale(link: Connection, unit: Unit, index: int, full_scale: float) -> None:
    board = board_of(link)
    template = board.templates.get(index)
    drives = ("A", "V") if template is None else (template.unit,)
    if full_scale > max(_amplitude_max(board, drive) for drive in drives):
        raise ScpiError(-222)
    _editable(link, index).full_scale = full_scale


def _full_scale(link: Connection, unit: Unit, index: int) -> str:
    value = board_of(link).template(index).full_scale
    return NO_VALUE if value is None else nr3(value)


def _set_word_line(link: Connection, unit: Unit, index: int, volts: float) -> None:
    _editable(link, index).word_line_v = volts


def _word_line(link: Connection, unit: Unit, index: int) -> str:
    board = board_of(link)
    volts = board.template(index).word_line_v
    return nr3(board.rails["VWL"] if volts is None else volts)


def _set_limit(link: Connection, unit: Unit, index: int, limit_a: float) -> None:
    if limit_a > _amplitude_max(board_of(link), "A"):
        raise ScpiError(-222)
    _editable(link, index).limit_a = limit_a


_TIMES = tuple(Float(*_LIMITS.pair(key)) for key in ("t_rise", "t_top", "t_fall"))
_PERIOD = Float(_TICK_NS * 1e-9, float(_LIMITS.values["period_max"]))

PULSE_COMMANDS: list[Command] = [
    Command("PULSe:DEFine", _define, (TEMPLATE, *_TIMES, _PERIOD), protected=True),
    Command("PULSe:DEFine?", _definition, (TEMPLATE,), missing=",".join([NO_VALUE] * 4)),
    Command("PULSe:SEGMent", _segments, (TEMPLATE, Bytes()), protected=True),
    Command("PULSe:KIND", _set_kind, (TEMPLATE, Word(words=("SET", "RES"))), protected=True),
    Command("PULSe:KIND?", lambda link, unit, index: board_of(link).template(index).kind, (TEMPLATE,)),
    Command("PULSe:UNIT", _set_unit, (TEMPLATE, Word(words=("A", "V"))), protected=True),
    Command("PULSe:UNIT?", lambda link, unit, index: board_of(link).template(index).unit, (TEMPLATE,)),
    Command("PULSe:FSCale", _set_full_scale, (TEMPLATE, Float(0.0, above=True)), protected=True),
    Command("PULSe:FSCale?", _full_scale, (TEMPLATE,)),
    Command("PULSe:VWL", _set_word_line, (TEMPLATE, Float(*_LIMITS.rail("VWL"))), protected=True),
    Command("PULSe:VWL?", _word_line, (TEMPLATE,)),
    Command("PULSe:LIMit", _set_limit, (TEMPLATE, Float(0.0, above=True)), protected=True),
    Command(
        "PULSe:LIMit?", lambda link, unit, index: nr3(board_of(link).template(index).limit_a), (TEMPLATE,)
    ),
]
