"""Indexed results of the board: fetched in windows, each judged by the echo in front of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.blocks import items_of
from drivers.errors import StaleAnswer

if TYPE_CHECKING:
    from drivers.session import Session
    from drivers.visa import Answer

__all__ = ["fetch", "items"]


def items(answer: Answer, echo: str, dtype: str, count: int) -> NDArray[Any]:
    """Return the items of an answer that echoes what was asked for.

    Raises
    ------
    StaleAnswer
        It answers for something else.
    MalformedAnswer
        It holds another number of items.
    """
    if answer.text != echo or answer.block is None:
        raise StaleAnswer(
            f"the board answered for {answer.text!r} where {echo!r} was asked for; the values were not used",
            expected=echo,
            got=answer.text,
        )
    return items_of(answer.block, dtype, count)


def fetch(
    session: Session, query: str, echo: str, total: int, dtype: str, block_max_bytes: int, *, letter: str = ""
) -> NDArray[Any]:
    """Fetch a whole indexed result in windows of the board's largest block.

    Parameters
    ----------
    query : str
        Header, with the parameters before ``start,n`` and what separates them.
    echo : str
        What every answer begins with: a batch id, a read id, a handle.
    letter : str
        Format behind the start index, where the result has one.
    """
    window = block_max_bytes // np.dtype(dtype).itemsize
    parts = []
    for start in range(0, total, window):
        count = min(window, total - start)
        lengths = (count * np.dtype(dtype).itemsize,)
        (answer,) = session.ask([f"{query}{start},{count}"], lengths=lengths)
        parts.append(items(answer, f"{echo},{start},{letter}", dtype, count))
    if not parts:
        return np.zeros(0, dtype)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
