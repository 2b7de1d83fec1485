"""Where a cell lives in memory: blocks of 256 cells, one row per quantity.

``cell >> 8`` is the block and ``cell & 255`` the lane. A row of a block is contiguous, so that
straight-line loops over lanes vectorise, and everything about 256 neighbours lies together
(libraries-and-speed §3.5).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.random_numbers import LANES

__all__ = ["CellArrays", "blocks_for"]

# Rows of CellArrays.state (float32)
CONDUCTANCE = 0  # S, at the reference age of the pulse laws
DIVISOR = 1  # 1 + slow noise at the pulse (device-physics §1.6 b)
EXPONENT = 2  # drift exponent of this programming event
STRENGTH = 3  # Q_s
LOW_SUM = 4  # noise of the hidden fast states 0 .. LOW-1
HIGH_SUM = 5  # noise of the hidden slow states HIGH .. end
DOSE = 6  # crystallisation by reading since the pulse, in lifetimes
STATE_ROWS = 7

# Rows of CellArrays.device (float32), frozen when the chip is made
FULL = 0  # S, largest conductance
MELT = 1  # A, melting begins
AMORPHOUS = 2  # A, fully amorphous
STEP = 3  # factor on the mean SET step
DRIFT = 4  # standard normal, the device-bound part of the drift exponent
DEVICE_ROWS = 5

# Rows of CellArrays.time (int64, ns since the chip was made)
PULSED = 0  # end of the last pulse
SEEN = 1  # last time the noise states were brought up to date; PULSED while LOW is FRESH

# Rows of CellArrays.count (uint32)
PULSES = 0
READS = 1
MEMORY = 2  # SET pulses since the last melt

# Rows of CellArrays.mark (uint8)
LOW = 0  # states below are hidden in LOW_SUM; FRESH until the first read after a pulse
HIGH = 1  # states from here on are hidden in HIGH_SUM
STUCK = 2
TELEGRAPH = 3  # bits 0 and 1: levels of the fluctuators; bit 2: they were looked at since the pulse
MARK_ROWS = 4
SWITCHED = 8  # bit 3 of TELEGRAPH: the state is that of threshold switching, not of a pulse

FRESH = 255
LUMP = (
    254  # in LOW, noise that starts at zero: LOW_SUM holds all states, as of the first look after the pulse
)
NOT_STUCK, STUCK_SET, STUCK_RESET, STUCK_OPEN, RESISTOR = 0, 1, 2, 3, 4


def blocks_for(cells: int) -> int:
    """Return the number of blocks that hold so many cells."""
    return -(-cells // LANES)


@dataclass(slots=True)
class CellArrays:
    """All per-cell memory of a simulated chip; every array has shape (blocks, rows, 256).

    Attributes
    ----------
    state, device : float32
        Quantities of the present programming event; quantities frozen with the device.
    noise : float32
        Revealed 1/f states, in units of their own standard deviation.
    time : int64
        Nanoseconds since the chip was made.
    count : uint32
    mark : uint8
    """

    state: NDArray[np.float32]
    device: NDArray[np.float32]
    noise: NDArray[np.float32]
    time: NDArray[np.int64]
    count: NDArray[np.uint32]
    mark: NDArray[np.uint8]

    @classmethod
    def empty(cls, cells: int, noise_states: int) -> CellArrays:
        """Arrays for so many cells, all zero."""
        return cls(**{name: np.zeros(shape, dtype) for name, shape, dtype in _plan(cells, noise_states)})

    def check(self, cells: int, noise_states: int) -> None:
        """Raise ValueError where an array is not that of so many cells."""
        for name, shape, dtype in _plan(cells, noise_states):
            array = getattr(self, name)
            if array.shape != shape or array.dtype != dtype:
                raise ValueError(f"{name} is {array.dtype} {array.shape}, not {dtype.__name__} {shape}")

    def items(self) -> dict[str, NDArray[np.generic]]:
        """Arrays by name, for the state file."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self.items().values())


def _plan(cells: int, noise_states: int) -> list[tuple[str, tuple[int, int, int], type[np.generic]]]:
    rows: dict[str, tuple[int, type[np.generic]]] = {
        "state": (STATE_ROWS, np.float32),
        "device": (DEVICE_ROWS, np.float32),
        "noise": (noise_states, np.float32),
        "time": (2, np.int64),
        "count": (3, np.uint32),
        "mark": (MARK_ROWS, np.uint8),
    }
    return [(name, (blocks_for(cells), number, LANES), dtype) for name, (number, dtype) in rows.items()]
