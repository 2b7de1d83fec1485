"""Fields of the sections of a bench file: quantities with units, paths beside the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo

from calibration.units import parse as parse_quantity

__all__ = [
    "Amperes",
    "Kelvin",
    "Number",
    "Ohms",
    "Seconds",
    "Section",
    "Siemens",
    "Volts",
    "as_path",
    "beside",
]


def _si(unit: str) -> Callable[[Any], float]:
    def parse(value: Any) -> float:
        return parse_quantity(value, unit)

    return parse


Seconds = Annotated[float, BeforeValidator(_si("s"))]
Amperes = Annotated[float, BeforeValidator(_si("A"))]
Volts = Annotated[float, BeforeValidator(_si("V"))]
Kelvin = Annotated[float, BeforeValidator(_si("K"))]
Siemens = Annotated[float, BeforeValidator(_si("S"))]
Ohms = Annotated[float, BeforeValidator(_si("Ohm"))]
Number = Annotated[float, BeforeValidator(_si("1"))]


def beside(value: Path | None, info: ValidationInfo) -> Path | None:
    """Take a relative path from the folder of the bench file."""
    folder = (info.context or {}).get("folder", Path.cwd())
    return None if value is None else Path(folder, value.expanduser()).absolute()


def as_path(value: Any) -> Any:
    """Read a path from text."""
    return Path(value) if isinstance(value, str) and value else value


class Section(BaseModel):
    """A section of a bench file: no unknown keys, nothing converted silently, nothing changed later."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        validate_by_name=True,  # for Python; files are read by their keys alone
        validate_by_alias=True,
        validate_default=True,
        allow_inf_nan=False,
    )
