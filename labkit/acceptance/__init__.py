"""The acceptance tables of a simulated chip: what a faithful mock must reproduce (device-physics §9).

::

    found = check_card(DeviceCard.load("ibm90"), quick=True)
    assert found.ok, [row for row in found.rows if row.verdict == "miss"]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from labkit.acceptance.row import Row, Verdict
    from labkit.acceptance.suite import Acceptance, check_card, known_ids

__all__ = ["Acceptance", "Row", "Verdict", "check_card", "known_ids"]

_HOMES = {
    "Acceptance": "suite",
    "Row": "row",
    "Verdict": "row",
    "check_card": "suite",
    "known_ids": "suite",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
