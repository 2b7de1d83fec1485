"""How a chip is programmed: the settings of the program-and-verify loop.

Numbers marked "default" are chosen, not published for this purpose; the reference beside each says why.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from drivers.chip import Pulse, PulseKind, ReadSetup
from labkit.errors import LabkitError

if TYPE_CHECKING:
    from calibration import DeviceCard
    from drivers.chip import Limits

__all__ = ["ProgramSettings", "SettingsError"]

_INDEX_BYTES = 4
"""Of a cell in a list (controller-protocol §7.4); no format of amplitudes takes more."""
_SPREADS = 3.0
"""Standard deviations of the devices that a range must hold: all but one in a thousand."""


class SettingsError(LabkitError):
    """A setting makes no sense; the message lists all that do not.

    Attributes
    ----------
    problems : tuple of str or None
        One line each, ``name: what is wrong``.
    """

    problems: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class ProgramSettings:
    """Settings of the loop; None is filled in from the card by :meth:`for_card`.

    Attributes
    ----------
    strategy : str
        How the next current is chosen; ``"proportional"``.
    g_max_s : float, optional
        Conductance of the largest weight of each layer, siemens; the card's by default.
    smallest_target : float
        Fraction of `g_max_s` below which a device is RESET instead of programmed. Default 0.01: there the
        programming error exceeds the target itself (device-physics §2.1: 0.28 of 0.25 uS).
    verify_age_s : float
        Age of the cells at the verify read. Default 2 s (device-physics §1.2, §1.6).
    margin_sigmas : float
        Accepted distance from the verify target, in programming errors of the card. Default 0.5
        (device-physics §1.6).
    margin_s : float, optional
        The same in siemens for all targets; replaces `margin_sigmas`.
    reads_per_pass : int
        Verify reads averaged per pass. Default 1.
    read_interval_s : float
        Time between them. Default 0.3 s: noise is slow, reads back to back would share it (algorithms §3.4).
    pulses_max : int
        Pulses a cell may get. Default 55 (device-physics §3.7, from memory).
    passes_max : int, optional
        Passes of the loop. Default 30: later ones bring one cell in a thousand, and let all others age. None:
        only `pulses_max` ends it.
    batch_cells_max : int, optional
        Cells pulsed by one batch and read by one read; a pass over more cells takes several. By default as many as
        fit the board's largest message in any order. Less memory with fewer, more messages.
    loop_gain : float
        Share of an error that the next current corrects. Default 0.7 (device-physics §1.6, §3.7).
    loop_gain_min : float
        Where halving it on a change of sign ends. Default 0.15: the current settles, but does not freeze.
    current_min_a, current_max_a : float
        Limits of the programming current. By default from where the first devices of the card melt, to the
        450 uA of a full RESET (device-physics §3.7).
    reset_current_a : float
        Current of the RESET of zero targets, 450 uA (device-physics §2.7, reported).
    reset_pulses_max : int
        RESET pulses a zero target may get. Default 1: no iterative programming (device-physics §2.7).
    zero_limit_s : float
        A RESET cell that reads more did not take. Default 1 uS (device-physics §3.6).
    pulse_rise_s, pulse_top_s, pulse_fall_s, pulse_period_s : float
        Shape of all pulses: 50 ns full width (device-physics §2.7), the rest defaults. A trailing edge beyond
        that of the card would crystallise molten material again (device-physics §3.6).
    read_voltage_v : float
        0.2 V (device-physics §3.9).
    read_samples : int
    read_aperture_s : float
        Conversions averaged, and the time of one. Defaults 8 and 1 us: the verify error is the noise of one short
        read, and a longer one costs next to nothing (device-physics §1.6).
    read_range_a : float, optional
        Fixed current range of the reads; by default the smallest that holds a fully SET cell.
    """

    strategy: str = "proportional"
    g_max_s: float | None = None
    smallest_target: float = 0.01
    verify_age_s: float = 2.0
    margin_sigmas: float = 0.5
    margin_s: float | None = None
    reads_per_pass: int = 1
    read_interval_s: float = 0.3
    pulses_max: int = 55
    passes_max: int | None = 30
    batch_cells_max: int | None = None
    loop_gain: float = 0.7
    loop_gain_min: float = 0.15
    current_min_a: float | None = None
    current_max_a: float = 450e-6
    reset_current_a: float = 450e-6
    reset_pulses_max: int = 1
    zero_limit_s: float = 1e-6
    pulse_rise_s: float = 5e-9
    pulse_top_s: float = 45e-9
    pulse_fall_s: float = 5e-9
    pulse_period_s: float = 1e-6
    read_voltage_v: float = 0.2
    read_samples: int = 8
    read_aperture_s: float = 1e-6
    read_range_a: float | None = None

    def __post_init__(self) -> None:
        if problems := tuple(self._problems()):
            raise SettingsError(f"these settings cannot be used: {'; '.join(problems)}", problems=problems)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ProgramSettings:
        """Make settings of plain data, as a manifest or a plan holds it.

        Raises
        ------
        SettingsError
            Unknown names, or values that make no sense.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(values.keys() - known):
            raise SettingsError(
                f"there is no setting {', '.join(unknown)}; the settings are {', '.join(sorted(known))}",
                problems=tuple(f"{name}: unknown" for name in unknown),
            )
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        return asdict(self)

    def for_card(self, card: DeviceCard, limits: Limits) -> ProgramSettings:
        """Return the settings with nothing left open.

        Parameters
        ----------
        card : DeviceCard
            The device; needs a programming curve and drift.
        limits : Limits
            Of the board, for the range of the reads.

        Raises
        ------
        MissingLawError
            The card lacks one of them.
        SettingsError
            They do not go together with this device.
        """
        curve = card.programming_curve
        if self.pulse_fall_s > curve.trailing_edge_s:
            raise SettingsError(
                f"pulse_fall_s: an edge of {self.pulse_fall_s:g} s crystallises what was molten; stay within "
                f"{curve.trailing_edge_s:g} s, the trailing_edge_s of card {card.name!r}"
            )
        low_a = curve.melt_current_mean_a - _SPREADS * curve.melt_current_spread_a
        return replace(
            self,
            g_max_s=card.g_max_s if self.g_max_s is None else self.g_max_s,
            batch_cells_max=self._batch_for(limits),
            current_min_a=max(low_a, curve.dead_zone_a) if self.current_min_a is None else self.current_min_a,
            read_range_a=self._range_for(card, limits) if self.read_range_a is None else self.read_range_a,
        )

    def _batch_for(self, limits: Limits) -> int:
        """Cells whose indices, and so their amplitudes too, fit one message of the board."""
        most = max(1, limits.block_max_bytes // _INDEX_BYTES)
        return most if self.batch_cells_max is None else min(self.batch_cells_max, most)

    def _range_for(self, card: DeviceCard, limits: Limits) -> float | None:
        """Smallest range that holds a fully SET cell, young as it is at the verify read."""
        curve, drift = card.programming_curve, card.drift
        full_s = curve.full_conductance_mean_s + _SPREADS * curve.full_conductance_spread_s
        young = drift.factor(self.verify_age_s, drift.mean_exponent(1.0), drift.pulse_reference_age_s)
        largest_a = full_s * float(young) * self.read_voltage_v
        ranges = sorted(limits.read_ranges_a)
        return next((full_a for full_a in ranges if full_a >= largest_a), ranges[-1] if ranges else None)

    # ------------------------------------------------------------------ what they mean to a chip

    @property
    def pulse(self) -> Pulse:
        """Template of all pulses."""
        return Pulse(
            rise_s=self.pulse_rise_s,
            top_s=self.pulse_top_s,
            fall_s=self.pulse_fall_s,
            period_s=self.pulse_period_s,
            full_scale=max(self.current_max_a, self.reset_current_a),
            kind=PulseKind.RESET,
        )

    @property
    def read_setup(self) -> ReadSetup:
        """How cells are read, in the loop and later."""
        return ReadSetup(self.read_voltage_v, self.read_samples, self.read_aperture_s, self.read_range_a)

    # ------------------------------------------------------------------ checks

    def _problems(self) -> Iterator[str]:
        wrong = set()
        for name, value in asdict(self).items():
            if name == "strategy" or (value is None and name in _OPEN):
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                yield f"{name}: {value!r} is not a number"
                wrong.add(name)
            elif name in _WHOLE and (not isinstance(value, int) or value < 1):
                yield f"{name}: {value!r} is not a whole number from 1 on"
            elif value < 0 or (value == 0 and name not in _MAY_BE_ZERO):
                yield f"{name}: {value!r} must be above zero"
        if wrong:
            return
        if self.strategy not in _STRATEGIES:
            yield f"strategy: {self.strategy!r} is none of {', '.join(_STRATEGIES)}"
        if not self.smallest_target < 1:
            yield f"smallest_target: {self.smallest_target!r} is a fraction of full scale, below 1"
        if not self.loop_gain_min <= self.loop_gain <= _GAIN_MAX:
            yield f"loop_gain: {self.loop_gain!r} must lie in loop_gain_min .. {_GAIN_MAX}, or it oscillates"
        if self.current_min_a is not None and self.current_min_a >= self.current_max_a:
            yield f"current_min_a: {self.current_min_a!r} is not below current_max_a {self.current_max_a!r}"


_OPEN = frozenset({"g_max_s", "margin_s", "passes_max", "batch_cells_max", "current_min_a", "read_range_a"})
_WHOLE = frozenset(
    {"reads_per_pass", "pulses_max", "passes_max", "batch_cells_max", "reset_pulses_max", "read_samples"}
)
_MAY_BE_ZERO = frozenset({"smallest_target", "read_interval_s"})
_STRATEGIES = ("proportional",)
_GAIN_MAX = 2.0  # a loop of gain 2 repeats its error with the other sign for ever
