"""One law as a card holds it: form, parameters with provenance, and where it may be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from calibration.number import Number, Series, Table
from calibration.validity import Validity

__all__ = ["LawSection", "Parameter"]

Parameter = Number | Series | Table | str


@dataclass(frozen=True)
class LawSection:
    """One law as the card holds it.

    Attributes
    ----------
    form : str
        Name of the formula.
    parameters : dict
        Name -> `Number`, `Series`, `Table` or word.
    validity : Validity
        Where the law may be trusted.
    """

    form: str
    parameters: Mapping[str, Parameter]
    validity: Validity = field(default_factory=Validity)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a card file, with the units written out."""
        parameters = {
            name: parameter if isinstance(parameter, str) else parameter.to_dict()
            for name, parameter in self.parameters.items()
        }
        return {"form": self.form, "validity": self.validity.to_dict(), "parameters": parameters}
