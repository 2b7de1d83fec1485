"""Analog products: one message up for a batch of vectors, one reply down (controller-protocol §7.9)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from drivers.blocks import block_of
from drivers.chip import Limits, ReadSetup
from drivers.errors import InstrumentError, MalformedAnswer
from drivers.products import Product, Rectangle
from drivers.reads import Reads
from drivers.results import fetch, items
from drivers.selections import Selections
from drivers.session import Session, integers
from drivers.visa import Answer, Unit

__all__ = ["Inputs", "Multiplies", "quantise_inputs"]

FULL_CODE = 127
_CLIPPED = -32768


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Vectors as the board takes them.

    Attributes
    ----------
    codes : ndarray of int8, shape of the numbers
        -127 .. 127.
    step : float
        What one code stands for, in units of the numbers.
    clipped : int
        Numbers beyond the full scale, which were held at it.
    """

    codes: NDArray[np.int8]
    step: float
    clipped: int


def quantise_inputs(x: ArrayLike, full_scale: float) -> Inputs:
    """Turn numbers into inputs.

    Parameters
    ----------
    x : array_like
        Finite numbers.
    full_scale : float
        The magnitude that is driven with the read voltage V. With the currents I of the product,
        ``x @ G = I full_scale / V``.

    Raises
    ------
    ValueError
        The full scale is not above 0, or a number is not finite.
    """
    values = np.asarray(x, np.float64)
    if not (full_scale > 0.0 and np.isfinite(full_scale)):
        raise ValueError(f"the full scale of inputs is {full_scale!r}: give a number above 0")
    if not np.isfinite(values).all():
        raise ValueError(f"{np.count_nonzero(~np.isfinite(values))} inputs are NaN or infinite")
    codes = np.rint(np.clip(values / full_scale, -1.0, 1.0) * FULL_CODE).astype(np.int8)
    return Inputs(codes, full_scale / FULL_CODE, int(np.count_nonzero(np.abs(values) > full_scale)))


class Multiplies:
    """The multiplying side of a controller.

    Parameters
    ----------
    session : Session
    limits : Limits
        Of the board.
    selections : Selections
        Shared with whoever else names cells to the board.
    reads : Reads
        Whose settings of the board it shares.
    on_loss : callable
        Called where the board may not know what it was told.
    """

    def __init__(
        self,
        session: Session,
        limits: Limits,
        selections: Selections,
        reads: Reads,
        on_loss: Callable[[], None],
    ) -> None:
        self._session, self._limits, self._selections = session, limits, selections
        self._reads, self._on_loss = reads, on_loss

    def multiply(self, rectangle: Rectangle, inputs: NDArray[np.int8], setup: ReadSetup) -> Product:
        """Multiply a batch of vectors by the conductances of a rectangle.

        One message, where inputs and outputs fit the board's largest block; else the outputs are fetched in windows,
        and vectors that do not fit are sent as further batches.

        Parameters
        ----------
        rectangle : Rectangle
        inputs : ndarray of int8, shape (k, rows)
            -127 .. 127; 127 is the read voltage.
        setup : ReadSetup
            Read voltage, conversions averaged, range of the converters; without one the board chooses one range for
            each batch.

        Raises
        ------
        InstrumentError
            Inputs of another shape or type, or the product was refused or did not end well.
        StaleAnswer, MalformedAnswer, LinkError
            No answer could be trusted, twice.
        """
        _check(inputs, rectangle)
        at_once = self._limits.block_max_bytes // rectangle.rows
        if at_once < 1:
            raise InstrumentError(
                f"one vector has {rectangle.rows} bytes, the board takes {self._limits.block_max_bytes} in one message"
            )
        try:
            parts = [
                self._batch(rectangle, inputs[start : start + at_once], setup)
                for start in range(0, len(inputs), at_once)
            ]
        except BaseException:
            self._on_loss()  # the message ended somewhere among its units
            raise
        currents = [part.current_a for part in parts]
        last = parts[-1]
        return Product(
            current_a=currents[0] if len(parts) == 1 else np.concatenate(currents),
            scale_a=max(part.scale_a for part in parts),
            mvm_id=last.mvm_id,
            clock_ns=last.clock_ns,
            host_unix_ns=last.host_unix_ns,
        )

    def _batch(self, rectangle: Rectangle, inputs: NDArray[np.int8], setup: ReadSetup) -> Product:
        total = len(inputs) * rectangle.cols
        handle, select = self._selections.rectangle(rectangle)
        start: list[Unit] = [
            *select,
            *self._reads.settings_for(setup),
            "*WAI",
            (f"MVM:EXEC {handle},", block_of(inputs)),
            "*WAI",
            "MVM:STAT?",
            "MVM:SCAL?",
        ]
        timeout_s = self._session.link.timeout_s + self._time_s(rectangle, inputs, setup)
        self._session.started = "MVM"
        if 2 * total <= self._limits.block_max_bytes:
            units = [*start, f"MVM:DATA? 0,{total}", "SYST:TIME?"]
            state, scale, data, clock = self._session.ask(units, lengths=(2 * total,), timeout_s=timeout_s)
            identity = self._finished(state, total)
            counts = items(data, f"{identity},0,", "<i2", total)
        else:
            state, scale, clock = self._session.ask([*start, "SYST:TIME?"], timeout_s=timeout_s)
            identity = self._finished(state, total)
            room = self._limits.block_max_bytes
            counts = fetch(self._session, "MVM:DATA? ", str(identity), total, "<i2", room)
        self._session.in_flight = None
        self._reads.settled(setup)
        scale_a = _number(scale)
        return Product(
            current_a=_currents(counts, scale_a).reshape(len(inputs), rectangle.cols),
            scale_a=scale_a,
            mvm_id=identity,
            clock_ns=integers(clock.text, 1)[0],
            host_unix_ns=time.time_ns(),
        )

    def _time_s(self, rectangle: Rectangle, inputs: NDArray[np.int8], setup: ReadSetup) -> float:
        passes = 2 if int(inputs.min()) < 0 else 1
        groups = -(-rectangle.cols // self._limits.parallel_read)
        each_s = setup.samples * (setup.aperture_s + self._limits.read_overhead_s)
        return len(inputs) * passes * groups * each_s

    def _finished(self, state: Answer, total: int) -> int:
        identity, word, done, of = [*state.text.split(","), "", "", ""][:4]
        if word != "DONE" or (done, of) != (str(total), str(total)):
            raise self._session.failed(
                f"the product ended as {word or state.text}, {done} of {total} outputs done"
            )
        return integers(identity, 1)[0]


def _check(inputs: NDArray[Any], rectangle: Rectangle) -> None:
    if inputs.dtype != np.int8 or inputs.ndim != 2 or inputs.shape[1] != rectangle.rows or not len(inputs):
        raise InstrumentError(
            f"inputs are {inputs.dtype} of shape {inputs.shape}: give int8 of shape (vectors, {rectangle.rows}), one "
            "input per row of the rectangle (drivers.quantise_inputs makes them of floats)"
        )
    if int(inputs.min()) < -FULL_CODE:
        raise InstrumentError("an input of -128 lies beyond the read voltage: inputs are -127 .. 127")


def _number(answer: Answer) -> float:
    try:
        value = float(answer.text)
    except ValueError:
        value = float("nan")
    if not 0.0 < value < 1.0:
        raise MalformedAnswer(
            f"the board answered {answer.text!r} where the step of the outputs in ampere belongs"
        )
    return value


def _currents(counts: NDArray[np.int16], scale_a: float) -> NDArray[np.float32]:
    current: NDArray[np.float32] = counts * np.float32(scale_a)
    current[counts == _CLIPPED] = np.nan
    return current
