"""Effects that can be switched off, each by its name; with all of them off a simulated chip is ideal.

Switching off acts on the card, so that every reader of it agrees: a law that only adds an effect is left out,
the spreads and exponents of the others become zero.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from typing import Any

from calibration.errors import CardError, Problem

__all__ = ["EFFECTS", "switched_off"]

_Laws = dict[str, Any]

_OFF_SOURCE = "effect switched off"
_FINE_BITS = 24
_FLAT_G = [0.0, 1.0]


def _zero(laws: _Laws, law: str, *names: str) -> None:
    parameters = laws.get(law, {}).get("parameters", {})
    for name in names:
        if name in parameters:
            number = parameters[name]
            unit = number.get("unit") or _unit(number)
            parameters[name] = {"value": 0.0, "unit": unit, "status": "default", "source": _OFF_SOURCE}


def _unit(number: Mapping[str, Any]) -> str:
    from calibration.number import Number

    return Number.model_validate(number).unit


def _flat(unit: str) -> dict[str, Any]:
    values = [0.0, 0.0]
    return {"g": _FLAT_G, "values": values, "unit": unit, "status": "default", "source": _OFF_SOURCE}


def _tabulate(laws: _Laws, law: str, kept: Collection[str], tables: Collection[str], unit: str = "1") -> None:
    """Put a law into its form "table" with nothing but zeros in it."""
    if law not in laws:
        return
    parameters = {name: value for name, value in laws[law]["parameters"].items() if name in kept}
    parameters |= {name: _flat(unit) for name in tables}
    laws[law] = {**laws[law], "form": "table", "parameters": parameters}


def _without_law(name: str) -> Callable[[_Laws], None]:
    def remove(laws: _Laws) -> None:
        laws.pop(name, None)

    return remove


def _no_cycle_spread(laws: _Laws) -> None:
    _zero(laws, "accumulation", "spread_slope", "spread_offset_s", "spread_boost_s", "cycle_spread")
    _zero(laws, "programming_curve", "cycle_spread", "reset_ln_spread")
    _tabulate(laws, "programming_error", ("reference_g_max_s",), ("sigma_table_s",), "S")


def _no_device_spread(laws: _Laws) -> None:
    _zero(laws, "accumulation", "step_spread")
    _zero(laws, "programming_curve", "melt_current_spread_a", "full_current_spread_a")
    _zero(laws, "programming_curve", "full_conductance_spread_s")
    _zero(laws, "drift", "device_share")
    _zero(laws, "temperature", "spread")
    _zero(laws, "threshold_switching", "spread")
    _zero(laws, "retention", "ln_spread")
    _zero(laws, "damage", "current_spread_a")
    _zero(laws, "current_voltage", "polarity_spread")


def _no_history(laws: _Laws) -> None:
    _zero(laws, "accumulation", "boost_s", "spread_boost_s", "jump")


def _no_drift(laws: _Laws) -> None:
    kept = ("pulse_reference_age_s", "device_share", "onset_s")
    _tabulate(laws, "drift", kept, ("mean_table", "spread_table"))


def _no_read_noise(laws: _Laws) -> None:
    kept = ("read_width_s", "tau_min_s", "tau_max_s", "states_per_decade", "spectral_slope", "start")
    _tabulate(laws, "read_noise", kept, ("strength_table",))


def _no_temperature(laws: _Laws) -> None:
    _zero(laws, "temperature", "amorphous_energy_ev", "crystalline_energy_ev")


def _fine_converter(laws: _Laws) -> None:
    if "read_chain" not in laws:
        return
    _zero(laws, "read_chain", "noise_fraction_of_range")
    said = {"unit": "1", "status": "default", "source": _OFF_SOURCE}
    parameters = laws["read_chain"]["parameters"]
    parameters["adc_bits"] = {"value": _FINE_BITS, **said}
    parameters["adc_zero"] = {"value": 2 ** (_FINE_BITS - 5), **said}  # as many as 8 of 256


EFFECTS: Mapping[str, Callable[[_Laws], None]] = {
    "cycle_spread": _no_cycle_spread,
    "device_spread": _no_device_spread,
    "history": _no_history,
    "drift": _no_drift,
    "read_noise": _no_read_noise,
    "telegraph_noise": _without_law("telegraph_noise"),
    "current_voltage": _without_law("current_voltage"),
    "threshold_switching": _without_law("threshold_switching"),
    "read_disturb": _without_law("read_disturb"),
    "retention": _without_law("retention"),
    "temperature": _no_temperature,
    "endurance": _without_law("endurance"),
    "damage": _without_law("damage"),
    "faults": _without_law("faults"),
    "spatial_correlation": _without_law("spatial_correlation"),
    "lines": _without_law("lines"),
    "columns": _without_law("columns"),
    "converter": _fine_converter,
}
"""Name of an effect -> what switches it off in the laws of a card's plain data."""


def switched_off(card: Mapping[str, Any], effects: Collection[str]) -> dict[str, Any]:
    """Return the plain data of a card without some effects.

    Parameters
    ----------
    card : mapping
        Plain data of a sound card.
    effects : collection of str
        Names of `EFFECTS`, or "all".

    Returns
    -------
    dict
        A copy.

    Raises
    ------
    CardError
        A name that is no effect.
    """
    wanted = tuple(EFFECTS) if "all" in effects else tuple(effects)
    unknown = [name for name in wanted if name not in EFFECTS]
    if unknown:
        said = f"no such effect; there are all, {', '.join(EFFECTS)}"
        raise CardError([Problem(name, said) for name in unknown], path=str(card.get("name", "")))
    data = deepcopy(dict(card))
    for name in wanted:
        EFFECTS[name](data["laws"])
    return data
