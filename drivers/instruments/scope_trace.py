"""What drivers of oscilloscopes share: a record with its clipped samples marked, a trigger that did not come."""

# ruff: noqa: N818 - the names say what happened

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers.errors import DriverError
from drivers.roles import Trace

__all__ = ["NotTriggered", "ScopeTrace"]


class NotTriggered(DriverError):
    """No trigger came: nothing was recorded.

    Attributes
    ----------
    state : str
        What the scope says of its trigger.
    """

    state: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class ScopeTrace(Trace):
    """A recorded waveform.

    Attributes
    ----------
    clipped : ndarray of bool
        The sample lies at the edge of the converter: the voltage there is at least that far out.
    """

    clipped: NDArray[np.bool_]
