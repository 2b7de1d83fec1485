"""Cells that never worked (device-physics §5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from calibration.laws.law import Law, Quantity

__all__ = ["InitialFaults"]


@dataclass(frozen=True)
class InitialFaults(Law):
    """Shares of the cells of a new chip that no pulse can change.

    Attributes
    ----------
    stuck_set_share, stuck_reset_share : float
        Stuck crystalline and stuck amorphous.
    """

    form: ClassVar[str] = "stuck-shares"

    stuck_set_share: Annotated[float, Quantity("1", low=0.0, high=1.0)]
    stuck_reset_share: Annotated[float, Quantity("1", low=0.0, high=1.0)]

    def conflicts(self) -> Iterator[tuple[str, str]]:  # noqa: D102 - said by the base class
        total = self.stuck_set_share + self.stuck_reset_share
        if total > 1.0:
            yield "stuck_set_share", f"{total!r} of all cells would be stuck"
