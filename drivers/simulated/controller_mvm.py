"""A matrix-vector multiply on the board: a batch of vectors through one rectangle, as the clock moves on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.controller_operation import Operation
from drivers.simulated.multiply import Conversion, Matrices, Multiplier, chunk_length, passes_of
from drivers.simulated.multiply_kernel import CLIPPED, COUNTS

__all__ = ["ProductOperation"]


class ProductOperation(Operation):
    """A batch of vectors, running or over; kept as the result until the next one starts.

    Outputs are computed chunk by chunk, each chunk as soon as its first vector is over, so that they do not depend
    on when the board is looked at.

    Parameters
    ----------
    mvm_id : int
        The board's count of products since boot.
    inputs : ndarray of int8, shape (k, rows)
    ranges_a : tuple of float
        One makes the range fixed; from several one is chosen for the whole batch.
    output_ns : int
        Time of one pass of one group of columns, ns.
    groups : int
        Groups of columns that are converted one after the other.
    first_number : int
        Running number of the first vector.
    clip : ndarray of bool, shape (outputs,), or None
        Outputs that a fault clips.

    Attributes
    ----------
    total, done : int
        Outputs, and those converted.
    scale_a : float
        Ampere per count.
    any_clipped : bool
        Whether an output clipped.
    """

    kind = "mvm"

    def __init__(
        self,
        mvm_id: int,
        *,
        now_ns: int,
        inputs: NDArray[np.int8],
        multiplier: Multiplier,
        conversion: Conversion,
        ranges_a: tuple[float, ...],
        output_ns: int,
        groups: int,
        first_number: int,
        board_to_chip_ns: int,
        clip: NDArray[np.bool_] | None = None,
    ) -> None:
        self.id = mvm_id
        self._inputs, self._multiplier, self._conversion = inputs, multiplier, conversion
        self._passes = passes_of(inputs)
        self._vector_ns = self._passes * groups * output_ns
        self._chunk = chunk_length(multiplier.rows, multiplier.cols, self._vector_ns)
        self._first_number, self._board_to_chip_ns, self._clip = first_number, board_to_chip_ns, clip
        self._vectors = 0  # over
        self._computed = 0
        self._first_look: Matrices | None = None
        super().__init__(now_ns, now_ns + len(inputs) * self._vector_ns)
        self.total = inputs.shape[0] * multiplier.cols
        self._out = np.empty((len(inputs), multiplier.cols), np.int16)
        self.any_clipped = False
        self._range_a = ranges_a[0]
        if len(ranges_a) > 1 and len(inputs):
            self._first_look = self._look(0)
            self._range_a = multiplier.choose_range_a(inputs, self._first_look, conversion, ranges_a)

    @property
    def scale_a(self) -> float:
        """Ampere per count of the outputs."""
        return self._range_a / COUNTS

    @property
    def done(self) -> int:
        """Outputs converted."""
        return self._vectors * self._multiplier.cols

    @property
    def available(self) -> int:
        """Outputs that may be fetched."""
        return self.total if self.ended else self.done

    def next_stop_ns(self) -> int:
        """Return the end of the next chunk."""
        return min(self.end_ns, self.start_ns + (self._computed + self._chunk) * self._vector_ns)

    def boundary_ns(self, now_ns: int) -> int:
        """Return the end of the vector under way."""
        elapsed = now_ns - self.start_ns
        return self.start_ns + -(-elapsed // self._vector_ns) * self._vector_ns

    def run_to(self, now_ns: int) -> None:
        """Convert all vectors whose time is over at `now_ns`."""
        if self.ended:
            return
        self._vectors = min(len(self._inputs), max(0, now_ns - self.start_ns) // self._vector_ns)
        while self._computed < self._vectors:
            self._compute()

    def _look(self, vector: int) -> Matrices:
        middle_ns = self.start_ns + vector * self._vector_ns + self._vector_ns // 2
        vectors = min(self._chunk, len(self._inputs) - vector)
        held_from_s = vectors * self._vector_ns * 1e-9
        return self._multiplier.look(middle_ns + self._board_to_chip_ns, self._conversion, held_from_s)

    def _compute(self) -> None:
        start = self._computed
        stop = min(start + self._chunk, len(self._inputs))
        matrices = self._first_look if start == 0 and self._first_look is not None else self._look(start)
        self._first_look = None
        self._out[start:stop] = self._multiplier.convert(
            self._inputs[start:stop],
            self._passes,
            matrices,
            self._conversion,
            self._range_a,
            self._first_number + start,
        )
        self._computed = stop

    def finish(self, now_ns: int) -> None:
        """End it where it was to end."""
        super().finish(now_ns)
        self._leave_rest()

    def cut(self, now_ns: int, state: str, code: int) -> None:
        """End it this very moment: the vector under way is lost."""
        super().cut(now_ns, state, code)
        self._leave_rest()

    def _leave_rest(self) -> None:
        self.any_clipped = bool((self.outputs(0, self.done) == CLIPPED).any())
        self._out[self._vectors :] = CLIPPED

    def outputs(self, start: int, count: int) -> NDArray[np.int16]:
        """Return outputs, vector after vector, as a copy."""
        chosen = self._out.reshape(-1)[start : start + count].copy()
        if self._clip is not None:
            chosen[self._clip[start : start + count]] = CLIPPED
        return chosen
