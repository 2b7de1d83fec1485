"""Where a law may be trusted: ranges of conductance, age and temperature."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from calibration.units import celsius_taken_for_kelvin, parse, render

__all__ = ["Validity"]


def _ordered(ends: tuple[float, float]) -> tuple[float, float]:
    lower, upper = ends
    if lower > upper:
        raise ValueError(f"inverted range: {lower!r} is above {upper!r}; swap them")
    return ends


def _not_negative(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] < 0.0:
        raise ValueError(f"a range that begins below zero, at {ends[0]!r}; nothing is measured there")
    return ends


def _in_kelvin(ends: tuple[float, float]) -> tuple[float, float]:
    for end in ends:
        if cold := celsius_taken_for_kelvin(end):
            raise ValueError(cold)
    return ends


def _end(unit: str) -> BeforeValidator:
    return BeforeValidator(lambda value: parse(value, unit))


_Ratio = Annotated[float, _end("1")]
_Age = Annotated[float, _end("s")]
_Temperature = Annotated[float, _end("K")]


class Validity(BaseModel):
    """Ranges in which a law was measured; None where the law does not depend on the quantity.

    Attributes
    ----------
    g : (float, float), optional
        Conductance over full scale.
    age_s : (float, float), optional
        Time since the last pulse, s.
    temperature_k : (float, float), optional
        K.

    Raises
    ------
    pydantic.ValidationError
        An inverted range, one below zero, or a temperature that looks like degrees Celsius.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    g: Annotated[tuple[_Ratio, _Ratio], AfterValidator(_ordered), AfterValidator(_not_negative)] | None = None
    age_s: Annotated[tuple[_Age, _Age], AfterValidator(_ordered), AfterValidator(_not_negative)] | None = None
    temperature_k: (
        Annotated[tuple[_Temperature, _Temperature], AfterValidator(_ordered), AfterValidator(_in_kelvin)]
        | None
    ) = None

    def covers(
        self,
        *,
        g: ArrayLike | None = None,
        age_s: ArrayLike | None = None,
        temperature_k: ArrayLike | None = None,
    ) -> NDArray[np.bool_]:
        """Return whether points lie within all stated ranges; False marks extrapolation.

        Parameters
        ----------
        g, age_s, temperature_k : array_like, optional
            The points; a quantity that is left out is not judged.

        Returns
        -------
        ndarray of bool, the broadcast shape of the arguments
        """
        inside: NDArray[np.bool_] = np.asarray(True)
        for ends, values in ((self.g, g), (self.age_s, age_s), (self.temperature_k, temperature_k)):
            if values is not None:
                points = np.asarray(values, dtype=np.float64)
                within = np.isfinite(points) if ends is None else (points >= ends[0]) & (points <= ends[1])
                inside = np.asarray(inside & within)
        return inside

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a card file, with the units written out."""
        data: dict[str, Any] = {}
        for name, unit in (("g", "1"), ("age_s", "s"), ("temperature_k", "K")):
            ends = getattr(self, name)
            if ends is not None:
                data[name] = [float(end) if unit == "1" else render(end, unit) for end in ends]
        return data
