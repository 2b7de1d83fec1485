"""PyMeasure's driver of the DSOX1102G against the simulated one: every public name, and what came of it."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["REFEREE", "Line"]


class Line(NamedTuple):
    """One public name of ``KeysightDSOX1102G`` or its ``Channel``.

    Attributes
    ----------
    name : str
    verdict : str
        "works", "fails as documented" or "not of the instrument": handled by PyMeasure alone.
    remark : str
    """

    name: str
    verdict: str
    remark: str = ""


REFEREE = (
    Line("acquisition_mode", "works"),
    Line("acquisition_type", "works"),
    Line("autoscale", "works", "fits what the channels saw last; there is no signal that repeats"),
    Line("ch", "not of the instrument", "returns a channel object"),
    Line("clear_status", "works"),
    Line("default_setup", "works", "SYSTem:PRESet"),
    Line("digitize", "works", "what follows on the link waits for the record"),
    Line(
        "download_data", "works", "ASCii block whose header is taken for ten characters of the first number"
    ),
    Line("download_image", "works", "grid and records in grey"),
    Line("factory_reset", "works", "*RST"),
    Line("run", "works"),
    Line("single", "works"),
    Line("stop", "works"),
    Line("system_setup", "works", "a block that only the scope itself reads"),
    Line("timebase", "works"),
    Line("timebase_mode", "works"),
    Line("timebase_offset", "works", "sent with %f: below 1 us it is sent as 0"),
    Line("timebase_range", "works", "sent with %f: below 1 us it is sent as 0 and refused (-222)"),
    Line("timebase_scale", "works", "sent with %f: below 1 us it is sent as 0 and refused (-222)"),
    Line("timebase_setup", "works"),
    Line("waveform_data", "works"),
    Line("waveform_format", "works"),
    Line("waveform_points", "works"),
    Line("waveform_points_mode", "works"),
    Line("waveform_preamble", "works"),
    Line("waveform_source", "works", "of its words only the channels are sources of the simulated scope"),
    Line("ch.ask", "works", "PyMeasure reads the reply and drops it"),
    Line("ch.bwlimit", "works"),
    Line("ch.coupling", "works"),
    Line("ch.current_configuration", "works"),
    Line("ch.display", "works"),
    Line("ch.invert", "works"),
    Line("ch.label", "works", "ten characters in capitals; PyMeasure leaves the quotes on"),
    Line("ch.offset", "works"),
    Line("ch.probe_attenuation", "works"),
    Line("ch.range", "works"),
    Line("ch.scale", "works"),
    Line("ch.setup", "works"),
    Line("ch.values", "works"),
    Line("ch.write", "works"),
)
"""Public names of both classes but ``BOOLS``, a table."""
