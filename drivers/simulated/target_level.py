"""The target level without a chip: many devices programmed, drifted and read at one age, at the speed of memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.cell_model import compile_card
from drivers.simulated.chip_at_rest import card_for
from drivers.simulated.crew import Crew
from drivers.simulated.device_kernel import draw_normals
from drivers.simulated.random_numbers import LANES, Draw, Kind, key_of
from drivers.simulated.target_kernel import sample_range

if TYPE_CHECKING:
    from calibration.card import DeviceCard

__all__ = ["TargetLevel"]


class TargetLevel:
    """Draws of the target-level laws of a card, for whoever needs conductances and no chip.

    The same laws as a chip in the mode target-shortcut (device-physics §1.5, §1.6), each device with its own
    part of the drift exponent, but no memory: a conductance is a function of (seed, device, realisation). Not
    in it: telegraph noise, heat, lines, columns and converter, devices that die or have a share of their spread in
    common.

    Parameters
    ----------
    card : DeviceCard
        With programming_error, drift and read_noise.
    seed : int
        64 bits.
    threads : int, optional
        By default one per core.

    Raises
    ------
    MissingLawError
        The card lacks one of them.

    Examples
    --------
    >>> import numpy as np
    >>> from calibration import DeviceCard
    >>> device = TargetLevel(DeviceCard.load("ibm90"), seed=1)
    >>> g_s = device.sample(np.full(100_000, 10e-6, np.float32), age_s=20.0)
    >>> 9.9e-6 < g_s.mean() < 10.1e-6
    True
    """

    def __init__(self, card: DeviceCard, *, seed: int, threads: int | None = None) -> None:
        self.card = card = card_for(card, "target-shortcut")
        self.seed = seed
        self._model = compile_card(card, target_level=True)
        self._key = key_of(seed)
        self._crew = Crew(threads)
        self._bound = np.empty(0, np.float32)

    def sample(
        self,
        targets_s: NDArray[np.float32],
        age_s: float,
        *,
        realisation: int = 0,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Return conductances of devices programmed to targets, at an age.

        Parameters
        ----------
        targets_s : ndarray of float32, any shape
            Siemens; 0 is one RESET. The place in the array is the device.
        age_s : float
            Since the programming event, s.
        realisation : int
            Which programming of the same devices, from 0 on.
        out : ndarray of float32, shape of `targets_s`, C-contiguous, optional
            Where the result goes; fresh memory costs as much as a tenth of the draws.

        Returns
        -------
        ndarray of float32, shape of `targets_s`
            Siemens.

        Raises
        ------
        ValueError
            A target is negative, infinite or no number; the age is not above zero; `out` does not fit.
        """
        targets = np.ascontiguousarray(targets_s, np.float32).reshape(-1)
        if not age_s > 0.0:
            raise ValueError(f"age_s is {age_s!r}; it must be above zero")
        if targets.size and not (targets.min() >= 0.0 and targets.max() < np.inf):
            raise ValueError("a target is negative, infinite or no number; conductances begin at 0 S")
        drift = self.card.drift
        log2_age = np.float32(np.log2((age_s + drift.onset_s) / (drift.t0_s + drift.onset_s)))
        noise = np.float32(np.sqrt(self.card.read_noise.from_zero_variance(age_s)))
        bound = self._devices(targets.size)
        if out is None:
            out = np.empty(np.shape(targets_s), np.float32)
        elif out.shape != np.shape(targets_s) or out.dtype != np.float32 or not out.flags.c_contiguous:
            raise ValueError(
                f"out is {out.dtype} {out.shape}; it must be contiguous float32 {np.shape(targets_s)}"
            )
        drawn = out.reshape(-1)

        def draw(lo: int, hi: int) -> None:
            sample_range(lo, hi, targets, bound, realisation, log2_age, noise, drawn, self._model, self._key)

        self._crew.share(draw, targets.size, 64 * LANES)
        return out

    def _devices(self, count: int) -> NDArray[np.float32]:
        if self._bound.size < count:
            bound = np.empty(count, np.float32)
            draw_normals(
                np.arange(count, dtype=np.uint32), int(Kind.DEVICE), int(Draw.DRIFT), self._key, bound
            )
            self._bound = bound
        return self._bound
