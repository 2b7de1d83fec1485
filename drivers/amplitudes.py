"""Amplitudes as a board takes them, whole codes of a full scale, and what identifies a batch."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.chip import BoardError, Drive, Pulse
from drivers.errors import BatchRefused
from drivers.visa import Unit

__all__ = ["batch_crc", "codes_of", "template_units"]

_CODES: dict[str, tuple[np.dtype[Any], int]] = {"U8": (np.dtype("<u1"), 255), "U16": (np.dtype("<u2"), 65535)}


def codes_of(amplitude: NDArray[np.float32], pulse: Pulse, form: str) -> NDArray[Any]:
    """Return the codes of amplitudes (controller-protocol §6.3).

    The nearest code, but no code 0 for a pulse (it would be none) and none beyond the pulse's current limit.

    Parameters
    ----------
    amplitude : ndarray of float32, shape (n,)
        Ampere or volt; NaN is no pulse.
    form : str
        ``U8``, ``U16`` or ``F32``.

    Raises
    ------
    BatchRefused
        An amplitude is negative, or above the full scale or the current limit: as codes the board could not see
        it. Its own words are used.
    """
    limit = pulse.limit_a if pulse.drive is Drive.CURRENT and pulse.limit_a is not None else pulse.full_scale
    limit = min(limit, pulse.full_scale)
    # As numbers of the array's own type: the one nearest to a limit may lie above its decimal.
    wrong = (amplitude < 0) | (amplitude > amplitude.dtype.type(limit))
    if wrong.any():
        entry = int(np.argmax(wrong))
        error = BoardError(-222, "Data out of range", f"entry {entry}")
        raise BatchRefused(
            f"the batch is refused: {error}: its amplitude {amplitude[entry]:g} {pulse.drive.value} is not within "
            f"0 to {limit:g}",
            errors=(error,),
        )
    if form == "F32":
        return np.nan_to_num(amplitude, nan=0.0).astype(np.dtype("<f4"), copy=False)
    dtype, top = _CODES[form]
    highest = min(top, int(top * (limit / pulse.full_scale) * (1.0 + 1e-12)))
    scaled = np.multiply(amplitude, np.float32(top / pulse.full_scale))
    np.fmax(scaled, np.float32(0.0), out=scaled)  # which also makes NaN a 0
    weak = (scaled > 0.0) & (scaled <= 0.5)
    np.rint(scaled, out=scaled)
    np.minimum(scaled, np.float32(highest), out=scaled)
    codes: NDArray[Any] = scaled.astype(dtype)
    if weak.any():
        codes[weak] = 1
    return codes


def batch_crc(token: str, parameters: tuple[bytes, ...]) -> int:
    """CRC-32 over token and parameters, which proves whose a batch is (controller-protocol §6.1)."""
    crc = zlib.crc32(token.encode("latin-1"))
    for part in parameters:
        crc = zlib.crc32(part, crc)
    return crc


def template_units(index: int, pulse: Pulse) -> list[Unit]:
    """Define a pulse template so that nothing of an older one is left (controller-protocol §7.5)."""
    units: list[Unit] = [
        f"PULS:DEF {index},{pulse.rise_s!r},{pulse.top_s!r},{pulse.fall_s!r},{pulse.period_s!r}",
        f"PULS:KIND {index},{pulse.kind.value}",
        f"PULS:UNIT {index},{pulse.drive.value}",
        f"PULS:FSC {index},{pulse.full_scale!r}",
    ]
    if pulse.word_line_v is not None:
        units.append(f"PULS:VWL {index},{pulse.word_line_v!r}")
    if pulse.limit_a is not None:
        units.append(f"PULS:LIM {index},{pulse.limit_a!r}")
    return units
