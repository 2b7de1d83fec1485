"""PyMeasure's driver of the 2600 against the simulated one: every public name, and what came of it."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["REFEREE", "Line"]


class Line(NamedTuple):
    """One public name of ``pymeasure.instruments.keithley.Keithley2600`` or of its channel (``ChA.``).

    Attributes
    ----------
    name : str
    verdict : str
        "works", "fails as documented" (the instrument would refuse it too), "fails in PyMeasure" (before or after the
        instrument), or "not of the instrument": handled by PyMeasure alone.
    remark : str
    """

    name: str
    verdict: str
    remark: str = ""


REFEREE = (
    Line("ChA", "works", "smua"),
    Line("ChB", "works", "smub"),
    Line("ask", "works", "a chunk that prints"),
    Line(
        "binary_values",
        "works",
        "with header_bytes=2, termination_bytes=-1; it reads until nothing comes, which is -420 on GPIB",
    ),
    Line("check_errors", "works", "reads the queue until its code is 0"),
    Line("clear", "works", "*CLS empties queue and events"),
    Line("complete", "works", "*OPC? answers 1 when nothing is under way"),
    Line("error", "works", "deprecated in favour of next_error"),
    Line("id", "works", "*IDN?"),
    Line("next_error", "works", "code and words of errorqueue.next()"),
    Line("options", "fails as documented", "*OPT? is no command of the 2600: -285, and no reply"),
    Line("reset", "works", "*RST"),
    Line("shutdown", "not of the instrument", "notes that it was called; the outputs stay as they are"),
    Line("status", "works", "*STB?"),
    Line("values", "works", "a printed number; several, which TAB parts, stay one text"),
    Line("ChA.apply_current", "works", "the limit is that of smua.source.limitv"),
    Line("ChA.apply_voltage", "works", "the limit is that of smua.source.limiti"),
    Line("ChA.ask", "works", "prints an attribute"),
    Line("ChA.auto_range_source", "works"),
    Line("ChA.binary_values", "fails in PyMeasure", "hands on more arguments than the method takes"),
    Line("ChA.channel", "not of the instrument", "the letter"),
    Line("ChA.check_errors", "works", "the queue is the instrument's"),
    Line("ChA.compliance_current", "works", "negative values pass PyMeasure and are refused: 1103"),
    Line("ChA.compliance_voltage", "works", "200 V pass PyMeasure with a 2602B, which refuses them: 1102"),
    Line("ChA.current", "works"),
    Line("ChA.current_range", "works"),
    Line("ChA.instrument", "not of the instrument", "the owner"),
    Line(
        "ChA.measure_current",
        "works",
        "measures once before it sets anything; the reply of that is not printed",
    ),
    Line(
        "ChA.measure_nplc",
        "fails in PyMeasure",
        "maps the limits 0.001 and 25 to 0 and 1: sets 0, reads 1 as 25",
    ),
    Line("ChA.measure_voltage", "works", "as measure_current"),
    Line("ChA.ramp_to_current", "works", "steps with pauses of the host"),
    Line("ChA.ramp_to_voltage", "works", "steps with pauses of the host"),
    Line("ChA.resistance", "works"),
    Line("ChA.shutdown", "works", "ramps to zero in 3 s of the host, then output off"),
    Line("ChA.source_current", "works", "%f: what is below 1 uA is sent as 0"),
    Line("ChA.source_current_range", "works", "%f: the ranges below 1 uA cannot be set"),
    Line("ChA.source_mode", "works"),
    Line("ChA.source_output", "works"),
    Line("ChA.source_voltage", "works"),
    Line("ChA.source_voltage_range", "works"),
    Line("ChA.values", "works"),
    Line("ChA.voltage", "works"),
    Line(
        "ChA.voltage_range", "works", "kept, but reads back as the source's range while it sources a voltage"
    ),
    Line("ChA.wires_mode", "works"),
    Line("ChA.write", "works", "a chunk on the channel's table"),
)
"""Names of its own class and of the mixin that speaks to the instrument, and those of a channel."""
