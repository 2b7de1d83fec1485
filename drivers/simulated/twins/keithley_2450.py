"""The twins of the Keithley 2450 and of the 2400 it followed (instruments §2.12, §2.13).

A 2450 speaks one of several languages (``*LANG?``); a change takes effect when it is switched on again. The option
``language`` says in which one it was switched on: SCPI, SCPI2400 (the 2400's commands) or TSP, where every other
message is -285. Socket ``name.1``. *RST values and widths of replies that no source states are defaults.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drivers.simulated.twins.keithley_2400 import Keithley2400Twin
from drivers.simulated.twins.keithley_2450_scpi import Keithley2450Twin

if TYPE_CHECKING:
    from drivers.bench_simulated import SimulatedTwin
    from drivers.simulated.twins.keithley_source_meter import KeithleySourceMeter
    from drivers.simulated.world import World

__all__ = ["build"]

_LANGUAGES = ("SCPI", "SCPI2400", "TSP")


def build(name: str, simulated: SimulatedTwin, world: World) -> KeithleySourceMeter:
    """Build a 2400 (option `output_enable`: the switch at its rear, default true) or a 2450 (option `language`)."""
    options: dict[str, Any] = dict(simulated.options)
    model = simulated.model.removeprefix("keithley-")
    if model == "2400":
        enabled = options.pop("output_enable", True)
        language = "SCPI2400"
    else:
        enabled = True
        language = str(options.pop("language", "SCPI"))
    if options or not isinstance(enabled, bool) or language not in _LANGUAGES:
        raise ValueError(
            f"options of {simulated.model}: {simulated.options}; there are output_enable (true or false) of a 2400 and "
            f"language ({', '.join(_LANGUAGES)}) of a 2450"
        )
    kind = Keithley2400Twin if language == "SCPI2400" else Keithley2450Twin
    firmware = "C34 Sep 21 2016 15:30:00/A02  /K/M" if model == "2400" else "1.7.12b"
    return kind(
        name,
        world,
        model=model,
        language=language,
        serial=simulated.serial or ("4473504" if model == "2400" else "04400001"),
        firmware=simulated.firmware or firmware,
        output_enable=enabled,
    )
