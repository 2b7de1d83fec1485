"""The science of a PCM device: laws, the device card, presets. No instruments, no files but its own.

Quick start::

    from calibration import DeviceCard

    card = DeviceCard.load("ibm90")
    card.programming_error.sigma_s([0.1, 0.5, 1.0])     # siemens
    card.drift.mean_exponent(0.2)

Names are imported on first use, so ``import calibration`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from calibration.card import DeviceCard
    from calibration.errors import CalibrationError, CardError, MissingLawError, UnitError
    from calibration.number import Number, Series, Table
    from calibration.presets import preset_names
    from calibration.section import LawSection
    from calibration.validity import Validity

__all__ = [
    "CalibrationError",
    "CardError",
    "DeviceCard",
    "LawSection",
    "MissingLawError",
    "Number",
    "Series",
    "Table",
    "UnitError",
    "Validity",
    "preset_names",
]

_HOMES = {
    "CalibrationError": "errors",
    "CardError": "errors",
    "MissingLawError": "errors",
    "UnitError": "errors",
    "DeviceCard": "card",
    "LawSection": "section",
    "Validity": "validity",
    "Number": "number",
    "Series": "number",
    "Table": "number",
    "preset_names": "presets",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'calibration' has no attribute {name!r}")
    return getattr(import_module(f"calibration.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
