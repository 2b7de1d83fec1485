"""Twins of bench instruments: which models there are, and who builds them."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from drivers.bench_simulated import SimulatedTwin
    from drivers.simulated.twin import Twin
    from drivers.simulated.world import World

__all__ = ["TWINS", "build_twin", "register_twin"]

_HERE = "drivers.simulated.twins"

TWINS: dict[str, str] = {
    **{
        f"keithley-{model}": f"{_HERE}.keithley_2600"
        for model in (
            "2601b", "2602b", "2604b", "2611b", "2612b", "2614b", "2634b", "2635b", "2636b",
        )
    },
    "keithley-707b": f"{_HERE}.keithley_707",
    "keithley-708b": f"{_HERE}.keithley_707",
    "keithley-2400": f"{_HERE}.keithley_2450",
    "keithley-2450": f"{_HERE}.keithley_2450",
    "keithley-4200a": f"{_HERE}.keithley_4200",
    "keysight-81150a": f"{_HERE}.keysight_81160",
    "keysight-81160a": f"{_HERE}.keysight_81160",
    "keysight-33522b": f"{_HERE}.keysight_33500",
    "keysight-33622a": f"{_HERE}.keysight_33500",
    "keysight-dsox1102g": f"{_HERE}.keysight_infiniivision",
    "keysight-dsox3054t": f"{_HERE}.keysight_infiniivision",
    "keysight-b1500a": f"{_HERE}.keysight_b1500",
    "keysight-b2902a": f"{_HERE}.keysight_b2900",
    "keysight-b2912a": f"{_HERE}.keysight_b2900",
    "lakeshore-335": f"{_HERE}.lakeshore_336",
    "lakeshore-336": f"{_HERE}.lakeshore_336",
    "tektronix-dpo7254": f"{_HERE}.tektronix_scope",
    "tektronix-mso5204": f"{_HERE}.tektronix_scope",
    "temptronic-ats525": f"{_HERE}.temptronic_ats",
    "temptronic-ats545": f"{_HERE}.temptronic_ats",
}  # fmt: skip
"""Model of a bench file's ``simulated`` section -> module with ``build(name, simulated, world) -> Twin``."""


Builder = Callable[[str, "SimulatedTwin", "World"], "Twin"]

_GROUP = "labkit.twins"
_added: dict[str, Builder] = {}


def register_twin(model: str, build: Builder) -> None:
    """Let bench files name a twin of your own as ``simulated.model``, in this process.

    A package does it for every process with an entry point of the group ``labkit.twins``:
    ``acme-6 = "acme_meter.twin:build"``.

    Parameters
    ----------
    model : str
    build : callable
        ``build(name, simulated, world)`` returns a :class:`drivers.simulated.twin.Twin`.

    Raises
    ------
    ValueError
        The name is taken.
    """
    if model in TWINS or model in _added:
        raise ValueError(f"there is a twin of {model!r} already")
    _added[model] = build


def build_twin(name: str, simulated: SimulatedTwin, world: World) -> Twin:
    """Build the twin that a ``simulated`` section describes.

    Raises
    ------
    ValueError
        No such model, or options it does not have.
    """
    model = simulated.model
    build: Builder | None = _added.get(model)
    if build is None and model in TWINS:
        build = import_module(TWINS[model]).build
    if build is None:
        installed = {point.name: point for point in entry_points(group=_GROUP)}
        if model not in installed:
            known = ", ".join((*TWINS, *_added, *installed))
            raise ValueError(f"{model!r} is no model that is simulated; there are {known}")
        build = installed[model].load()
    return build(name, simulated, world)
