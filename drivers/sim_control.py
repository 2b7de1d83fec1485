"""What only a simulated board answers: its time, its faults, the truth (controller-protocol §11).

Kept apart from the ordinary driver: tests and the station's clock use it, programming and reading never do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drivers.blocks import block_of, items_of
from drivers.errors import InstrumentError, StaleAnswer
from drivers.session import integers

if TYPE_CHECKING:
    from drivers.controller import PcmController
    from drivers.visa import Unit

__all__ = ["SimControl"]

_DONE = "SYST:LOCK:OWN?"
_UNANSWERED = ("BOOT", "DROP,TX", "LATE", "MUTE")
"""Faults that would hit the answer to the message that arms them."""


class SimControl:
    """The simulation behind a controller.

    Parameters
    ----------
    chip : PcmController
        Open, and a simulated one.

    Raises
    ------
    InstrumentError
        A real board answers.
    """

    def __init__(self, chip: PcmController) -> None:
        if "SIM" not in chip.capabilities():
            raise InstrumentError(
                f"{chip!r} is no simulated board: it has no clock to move and no truth to tell"
            )
        self._chip = chip

    def advance(self, seconds: float) -> None:
        """Move the virtual clock forward; an operation whose end lies within completes on the way."""
        self._chip.ask([f"SIM:TIME:ADV {float(seconds)!r}", _DONE])

    def absolute_time(self) -> tuple[int, int]:
        """Return the chip's time since it was made and the Unix time of that moment, both ns."""
        absolute_ns, born_unix_ns = integers(self._chip.ask(["XLAB:TIME?"])[0].text, 2)
        return absolute_ns, born_unix_ns

    @property
    def rate(self) -> float:
        """Board seconds per wall second; 0 where only messages and commands move time."""
        return float(self._chip.ask(["SIM:TIME:RATE?"])[0].text)

    @rate.setter
    def rate(self, rate: float) -> None:
        self._chip.ask([f"SIM:TIME:RATE {float(rate)!r}", _DONE])

    @property
    def temperature_k(self) -> float:
        """Temperature of the chip, kelvin."""
        return float(self._chip.ask(["SIM:TEMP?"])[0].text)

    @temperature_k.setter
    def temperature_k(self, kelvin: float) -> None:
        self._chip.ask([f"SIM:TEMP {float(kelvin)!r}", _DONE])

    def seed(self) -> int:
        """Seed of the chip."""
        return integers(self._chip.ask(["SIM:SEED?"])[0].text, 1)[0]

    def fault(self, name: str, *arguments: object) -> None:
        """Arm a fault by its name in controller-protocol §11.

        One that would hit its own answer is armed without one; a refusal is seen in ``errors()`` then.
        """
        said = ",".join((name, *(str(argument) for argument in arguments)))
        if said.startswith(_UNANSWERED):
            self._chip.send([f"SIM:FAUL {said}"])
        else:
            self._chip.ask([f"SIM:FAUL {said}", _DONE])

    def clear_faults(self) -> None:
        """Disarm all faults; stuck cells stay."""
        self._chip.ask(["SIM:FAUL:CLE", _DONE])

    def truth_s(self, cells: NDArray[np.uint32]) -> NDArray[np.float32]:
        """Noise-free conductance of cells now, siemens, shape (n,)."""
        return self._told("SIM:TRUT?", cells, "<f4")

    def pulses(self, cells: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Pulses physically given to cells, whatever the board's counters say, shape (n,)."""
        return self._told("SIM:PULS?", cells, "<u4")

    def health(self, cells: NDArray[np.uint32]) -> NDArray[np.uint8]:
        """Return what has become of cells, shape (n,): 0 works, 1 stuck crystalline, 2 stuck amorphous, 3 open.

        4 is a reference resistor; 8 is added where the state is that of threshold switching. It is not among
        the commands of controller-protocol §11.
        """
        return self._told("SIM:HEAL?", cells, "u1")

    def place(self, cells: NDArray[np.uint32], targets_s: NDArray[np.float32]) -> None:
        """Set cells to targets without pulses; only a board in the mode target-shortcut does so.

        Each cell comes as near as the card's law of programming errors lets it (device-physics §1.5); the
        array must be energised. Not among the commands of controller-protocol §11.

        Parameters
        ----------
        cells : ndarray of uint32, shape (n,)
            No cell twice.
        targets_s : ndarray of float32, shape (n,)
            Conductance at t0, siemens; 0 is one RESET, NaN leaves the cell alone.

        Raises
        ------
        InstrumentError
            The board programmes with pulses, or the array is not energised.
        """
        handle = self._chip.limits().selections
        targets = np.ascontiguousarray(targets_s, "<f4")
        if targets.shape != cells.shape:
            raise InstrumentError(f"{targets.size} targets for {cells.size} cells; give one per cell")
        most = self._chip.limits().block_max_bytes // 8  # cells and targets in one message
        for start in range(0, cells.size, most):
            part = slice(start, start + most)
            self._chip.ask(
                [
                    (f"SEL:LIST {handle},", block_of(cells[part])),
                    (f"SIM:TARG {handle},", block_of(targets[part])),
                    _DONE,
                ]
            )

    def _told(self, query: str, cells: NDArray[np.uint32], dtype: str) -> NDArray[Any]:
        handle = self._chip.limits().selections  # the driver's own lists never reach the last handle
        units: list[Unit] = [(f"SEL:LIST {handle},", block_of(cells)), f"{query} {handle},0,{cells.size}"]
        (answer,) = self._chip.ask(units, lengths=(np.dtype(dtype).itemsize * cells.size,))
        if answer.text != f"{handle},0," or answer.block is None:
            raise StaleAnswer(f"the board answered for {answer.text!r}", got=answer.text)
        return items_of(answer.block, dtype, cells.size)
