"""The simulated chip that a ``simulated`` section of a bench file describes, from its state file where it has one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calibration.card import DeviceCard
from drivers.simulated.chip import SimulatedChip
from drivers.simulated.layout import CellArrays
from drivers.simulated.peculiarities import References
from drivers.simulated.state_file import InMemory, open_chip

__all__ = ["chip_of_bench"]


def chip_of_bench(
    simulated: Any, bench_path: Path, references: Any = None
) -> tuple[InMemory, Callable[[int], SimulatedChip]]:
    """Open or make the chip.

    Parameters
    ----------
    simulated
        The section, as ``drivers.bench`` models it.
    bench_path : Path
        Paths of cards are relative to its folder.
    references
        The section of the bench file that names rows of resistors, None where it has none.

    Returns
    -------
    state : InMemory
        The chip in its file, or in memory where none is named.
    make : callable
        Makes a new chip of a seed.

    Raises
    ------
    StateFileError
        As of :func:`~drivers.simulated.state_file.open_chip`.
    """
    beside = bench_path.parent / str(simulated.card)
    card = DeviceCard.load(beside if beside.is_file() else simulated.card).without(*simulated.without)
    geometry = {"banks": simulated.banks, "rows": simulated.rows, "cols": simulated.cols}
    resistors = References() if references is None else References(references.rows, references.tolerance)
    options: dict[str, Any] = {
        **geometry,
        "threads": simulated.threads,
        "mode": simulated.mode,
        "references": resistors,
        "strict": simulated.strict,
    }

    def make(seed: int) -> SimulatedChip:
        return SimulatedChip.create(card, seed=seed, **options)

    def restore(arrays: CellArrays, seed: int, past_heat: NDArray[np.int64]) -> SimulatedChip:
        return SimulatedChip(card, arrays, seed=seed, past_heat=past_heat, **options)

    if simulated.state is None:
        return InMemory(make(simulated.seed)), make
    identity = {
        "card": card.name,
        "card_sha256": card.fingerprint(),
        **geometry,
        "seed": simulated.seed,
        "mode": simulated.mode,
        "references": {str(row): value for row, value in sorted(resistors.rows.items())},
    }
    return open_chip(simulated.state, identity, lambda: make(simulated.seed), restore), make
