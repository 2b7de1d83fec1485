"""Everything that is the same for all cells of one read, in the shape the kernels take."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from drivers.simulated.cell_model import SURELY_SIGMA, current_line, zero_start_line
from drivers.simulated.converter_kernel import LONGEST_SAMPLING

if TYPE_CHECKING:
    from calibration.card import DeviceCard
    from drivers.simulated.cell_model import CellModel
    from drivers.simulated.heat import Heat

__all__ = ["Conditions", "Place", "Terms", "Window", "converter_numbers", "place_of"]

NOTHING_HELD = -1
NO_CONVERTER = np.zeros(5, np.float32)
NO_RANGES = np.ones(1, np.float32)
_YOUNGEST_LN_S = math.log(1e-6)
_LEAST_DOSE = 1e-11
"""A read that adds less than this share of a lifetime is not booked: 1e9 of them would crystallise a thousandth."""


class Window(NamedTuple):
    """What averaging leaves of the noise; factors on amplitudes.

    Attributes
    ----------
    low, high : float32, shape (states + 1,)
        On the sum of the states below a boundary, and from it on.
    each : float32, shape (states,)
    from_zero : float32, shape (k, 2)
        Broken line over log2 of the age (s): log2 of the factor on the sum of states that began at zero.
    """

    low: NDArray[np.float32]
    each: NDArray[np.float32]
    high: NDArray[np.float32]
    from_zero: NDArray[np.float32]


class Place(NamedTuple):
    """Where the cells lie, and what the way to them adds.

    Attributes
    ----------
    cols, rows : int
    series_ohm, bit_line_ohm, word_line_ohm : float32
    gain, offset_a : float32, shape (cols,), or none where the read path is perfect
    """

    cols: int
    rows: int
    has_lines: bool
    series_ohm: np.float32
    bit_line_ohm: np.float32
    word_line_ohm: np.float32
    gain: NDArray[np.float32]
    offset_a: NDArray[np.float32]


class Conditions(NamedTuple):
    """Voltage, temperature, converter and window of one read.

    Attributes
    ----------
    voltage : float32
        V, its magnitude; `sign` is its polarity.
    offset : float32
        Added to every current, A.
    samples : int
        Conversions averaged.
    ranges, converter : float32
        Full scales to choose from, A; noise over range, codes, code of zero, spread of the mean, extreme.
    thermal_curve, voltage_curve : float32, shape (k, 2)
        Broken lines over log2 of the conductance of the log2 of what heat and voltage multiply it with; no
        rows where they change nothing.
    thermal_spread, polarity_spread, retention_spread : float32
        Over devices; the last one of log2 of the lifetime.
    telegraph : float32, shape (5,) or (0,)
        Largest number, amplitude from and to, log2 of the shortest time constant (s) and octaves above it.
    hot_start_ns, hot_end_ns, hot_rate : shape (segments,)
        Times at which crystallisation counts, and lifetimes per nanosecond.
    crystallises : bool
        Whether any dose can matter.
    exponent : float32
        Of Johnson, Mehl and Avrami.
    disturb : float32
        Dose of this very read.
    held : int
        Boundary of the states that an observation holds; -1 for an ordinary read.
    fast : float32
        Standard deviation, in units of Q_s, of the states below `held` in one window.
    """

    voltage: np.float32
    sign: np.float32
    offset: np.float32
    samples: int
    ranges: NDArray[np.float32]
    converter: NDArray[np.float32]
    thermal_curve: NDArray[np.float32]
    thermal_spread: np.float32
    voltage_curve: NDArray[np.float32]
    polarity_spread: np.float32
    telegraph: NDArray[np.float32]
    hot_start_ns: NDArray[np.int64]
    hot_end_ns: NDArray[np.int64]
    hot_rate: NDArray[np.float64]
    crystallises: bool
    retention_spread: np.float32
    exponent: np.float32
    disturb: np.float32
    held: int
    fast: np.float32


def window_of(card: DeviceCard, m: CellModel, aperture_s: float, spacing_s: float, samples: int) -> Window:
    """Amplitudes left by the mean of some conversions (device-physics §2.5)."""
    noise = card.read_noise
    variance = noise.state_variances()
    left = noise.averaging_factor(aperture_s, spacing_s, samples)
    below = np.concatenate([[0.0], np.cumsum(variance * left)])
    from_here = np.concatenate([np.cumsum((variance * left)[::-1])[::-1], [0.0]])
    return Window(
        low=_share_of(below, m.low_weight),
        each=np.sqrt(left).astype(np.float32),
        high=_share_of(from_here, m.high_weight),
        from_zero=zero_start_line(card, left),
    )


def place_of(
    card: DeviceCard,
    rows: int,
    cols: int,
    gain: NDArray[np.float32],
    offset_a: NDArray[np.float32],
) -> Place:
    """Geometry, lines and columns of a chip."""
    lines = card.lines if card.has("lines") else None
    series, bit_line, word_line = (
        (0.0, 0.0, 0.0) if lines is None else (lines.series_ohm, lines.bit_line_ohm, lines.word_line_ohm)
    )
    nothing = np.empty(0, np.float32)
    perfect = not card.has("columns")
    return Place(
        cols=cols,
        rows=rows,
        has_lines=bool(series or bit_line or word_line),
        series_ohm=np.float32(series),
        bit_line_ohm=np.float32(bit_line),
        word_line_ohm=np.float32(word_line),
        gain=nothing if perfect else gain,
        offset_a=nothing if perfect else offset_a,
    )


def converter_numbers(noise: float, bits: int, zero: int, samples: int) -> NDArray[np.float32]:
    """Return noise over range, codes, code of zero, spread of the mean and extreme sample (codes)."""
    codes = 2.0**bits
    spread = math.sqrt(((noise * codes) ** 2 + 1.0 / 12.0) / samples)  # rounding adds LSB^2 / 12
    extreme = noise * codes * math.sqrt(2.0 * math.log(samples)) if samples > LONGEST_SAMPLING else 0.0
    return np.array([noise, codes, zero, spread, extreme], np.float32)


class Terms:
    """On what terms the cells of one chip are pulsed and read: its heat, its curves, its windows.

    Parameters
    ----------
    card : DeviceCard
    model : CellModel
    heat : Heat
    dosed : bool
        Whether earlier reads left a dose in its cells.
    """

    def __init__(self, card: DeviceCard, model: CellModel, heat: Heat, *, dosed: bool) -> None:
        self._card, self._model, self.heat, self.dosed = card, model, heat, dosed
        self._windows: dict[tuple[float, float, int], Window] = {}
        self._voltage_curves: dict[float, NDArray[np.float32]] = {}
        self._telegraph = _telegraph(card)

    def at(
        self,
        now_ns: int,
        *,
        voltage_v: float | None = None,
        stress_v: float | None = None,
        offset_a: float = 0.0,
        samples: int = 1,
        spacing_s: float = 0.0,
        ranges: NDArray[np.float32] = NO_RANGES,
        converter: NDArray[np.float32] = NO_CONVERTER,
        held: int = NOTHING_HELD,
        fast: float = 0.0,
    ) -> Conditions:
        """Return the conditions of one call; `stress_v` is the voltage that disturbs, where it is another one."""
        card, f32 = self._card, np.float32
        volts = card.read_chain.read_voltage_v if voltage_v is None else voltage_v
        borne_v = volts if stress_v is None else stress_v
        start_ns, end_ns, rate = self.heat.segments(now_ns)
        retention = card.retention if card.has("retention") else None
        disturb = card.read_disturb.dose(borne_v, samples * spacing_s) if card.has("read_disturb") else 0.0
        disturb = disturb if disturb >= _LEAST_DOSE else 0.0
        polarity = card.current_voltage.polarity_spread if card.has("current_voltage") and volts < 0 else 0.0
        return Conditions(
            voltage=f32(abs(volts)),
            sign=f32(-1.0 if volts < 0 else 1.0),
            offset=f32(offset_a),
            samples=samples,
            ranges=ranges,
            converter=converter,
            thermal_curve=self.heat.thermal_curve,
            thermal_spread=f32(card.temperature.spread),
            voltage_curve=self._voltage_curve(abs(volts)),
            polarity_spread=f32(polarity),
            telegraph=self._telegraph,
            hot_start_ns=start_ns,
            hot_end_ns=end_ns,
            hot_rate=rate,
            crystallises=bool(len(rate)) or self.dosed or disturb > 0.0,
            retention_spread=f32(0.0 if retention is None else retention.ln_spread * np.log2(np.e)),
            exponent=f32(1.0 if retention is None else retention.exponent),
            disturb=f32(disturb),
            held=held,
            fast=f32(fast),
        )

    def without_heat(self, now_ns: int) -> Conditions:
        """Return the conditions of the truth: the reference temperature and voltage."""
        nothing = np.empty((0, 2), np.float32)
        return self.at(now_ns)._replace(thermal_curve=nothing, voltage_curve=nothing, disturb=np.float32(0.0))

    def window(self, aperture_s: float, spacing_s: float, samples: int) -> Window:
        """Amplitudes left by the mean of some conversions."""
        key = (aperture_s, spacing_s, samples)
        if key not in self._windows:
            self._windows = {**self._windows, key: window_of(self._card, self._model, *key)}
        return self._windows[key]

    def converter(self, bits: int, zero: int, samples: int) -> NDArray[np.float32]:
        """Return the converter of one call; see :func:`converter_numbers`."""
        return converter_numbers(self._card.read_chain.noise_fraction_of_range, bits, zero, samples)

    def may_switch(self, voltage_v: float) -> bool:
        """Whether a voltage reaches the weakest threshold there can be."""
        if not self._card.has("threshold_switching"):
            return False
        law = self._card.threshold_switching
        weakest = max(1.0 - SURELY_SIGMA * law.spread, 0.0)
        youngest = max(1.0 + law.drift_per_efold * _YOUNGEST_LN_S, 0.0)
        return voltage_v >= law.smallest_voltage_v * weakest * youngest

    def _voltage_curve(self, voltage_v: float) -> NDArray[np.float32]:
        if voltage_v not in self._voltage_curves:
            curve = current_line(self._card, voltage_v)
            self._voltage_curves = {**self._voltage_curves, voltage_v: curve}
        return self._voltage_curves[voltage_v]


def _telegraph(card: DeviceCard) -> NDArray[np.float32]:
    if not card.has("telegraph_noise") or not card.telegraph_noise.fluctuators_max:
        return np.empty(0, np.float32)
    law = card.telegraph_noise
    shortest = np.log2(law.tau_min_s)
    octaves = np.log2(law.tau_max_s) - shortest
    most = law.fluctuators_max
    return np.array([most, law.amplitude_low, law.amplitude_high, shortest, octaves], np.float32)


def _share_of(variance: NDArray[np.float64], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    whole = weight.astype(np.float64) ** 2
    share = np.divide(variance, whole, out=np.zeros_like(whole), where=whole > 0)
    return np.sqrt(share).astype(np.float32)
