"""Hot loops over the entries of a batch: how they fall into groups of drives, and what each gets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.jit import kernel

__all__ = ["IN_DOUBT", "PULSED", "SKIPPED", "group_entries", "slice_drives", "stamp_entries"]

PULSED, SKIPPED, MASKED, IN_DOUBT = 1, 2, 3, 4


@kernel
def group_entries(
    codes: NDArray[np.generic],
    cells: NDArray[np.uint32],
    mask: NDArray[np.bool_],
    parallel: int,
    flags: NDArray[np.uint8],
    starts: NDArray[np.int64],
    pulsed_before: NDArray[np.int64],
) -> tuple[int, int]:
    """Form the groups of controller-protocol §6.4, greedily in selection order.

    Parameters
    ----------
    codes : ndarray, shape (n,)
        Amplitudes as sent; 0 and NaN are skips.
    cells : ndarray of uint32, shape (n,)
    mask : ndarray of bool, shape (cells of the chip,)
        True = forbidden.
    parallel : int
        Drives, so at most this many entries to a group.
    flags : ndarray of uint8, shape (n,)
        Out: what becomes of each entry once it is reached: 1 pulsed, 2 skipped, 3 masked.
    starts, pulsed_before : ndarray of int64, shape (n + 1,)
        Out: first entry of each group, and how many entries get a pulse before it.

    Returns
    -------
    groups, pulsed : int
    """
    groups = 0
    pulsed = 0
    group_end = 0
    for entry in range(codes.size):
        code = codes[entry]
        if mask[cells[entry]]:
            flags[entry] = MASKED
        elif code == 0 or code != code:
            flags[entry] = SKIPPED
        else:
            flags[entry] = PULSED
            if entry >= group_end:
                starts[groups] = entry
                pulsed_before[groups] = pulsed
                groups += 1
                group_end = entry + parallel
            pulsed += 1
    return groups, pulsed


@kernel
def slice_drives(
    codes: NDArray[np.generic],
    scale: float,
    ceiling: float,
    to_current: float,
    cells: NDArray[np.uint32],
    flags: NDArray[np.uint8],
    starts: NDArray[np.int64],
    first_group: int,
    last_group: int,
    total: int,
    first_end_ns: int,
    group_ns: int,
    pulses: int,
    cycles: NDArray[np.uint32],
    out_cells: NDArray[np.uint32],
    out_current: NDArray[np.float32],
    out_end_ns: NDArray[np.int64],
) -> int:
    """Collect the drives of groups `first_group` .. `last_group` - 1.

    Parameters
    ----------
    codes, cells, flags, starts
        As of :func:`group_entries`; bit 7 is added to the flag of an entry the current limit acted on.
    scale, ceiling, to_current : float
        Amplitude per code; largest current a voltage drive lets through, ampere; ampere per amplitude unit.
    first_end_ns, group_ns : int
        End of the last pulse of group 0 on the chip's clock, and from group to group.
    pulses : int
        What to add to the counter of each cell in `cycles`.
    out_cells, out_current, out_end_ns : ndarray
        Out: cell, current (A) and end of its last pulse, for each entry that is pulsed.

    Returns
    -------
    int
        Entries collected.
    """
    count = 0
    for group in range(first_group, last_group):
        entry = starts[group]
        stop = starts[group + 1] if group + 1 < starts.size else total
        stop = min(stop, total)
        end_ns = first_end_ns + group * group_ns
        for k in range(entry, stop):
            if flags[k] & 127 == PULSED:
                current = codes[k] * scale * to_current
                if current > ceiling:
                    current = ceiling
                    flags[k] |= 128
                cycles[cells[k]] += np.uint32(pulses)
                out_cells[count] = cells[k]
                out_current[count] = current
                out_end_ns[count] = end_ns
                count += 1
    return count


@kernel
def stamp_entries(
    flags: NDArray[np.uint8],
    starts: NDArray[np.int64],
    done: int,
    first: int,
    first_end_ns: int,
    group_ns: int,
    in_doubt_ns: int,
    out: NDArray[np.int64],
) -> None:
    """Write when the last pulse of entries from `first` on ended: 0 where none was, `in_doubt_ns` where nobody knows.

    Parameters
    ----------
    flags, starts
        As of :func:`group_entries`.
    done : int
        Entries finished.
    first_end_ns, group_ns : int
        End of the last pulse of group 0, and from group to group.
    out : ndarray of int64, shape (n,)
        Out.
    """
    group = np.searchsorted(starts, first, side="right") - 1
    for k in range(out.size):
        entry = first + k
        while group + 1 < starts.size and entry >= starts[group + 1]:
            group += 1
        code = flags[entry] & 127
        if code == PULSED and entry < done:
            out[k] = first_end_ns + group * group_ns
        else:
            out[k] = in_doubt_ns if code == IN_DOUBT else 0
