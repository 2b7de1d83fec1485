"""What the 2600B models can do: channels, ranges, limits (instruments §2.1; 2600 reference manual, table 6-1)."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FULL_SCALE", "MODELS", "Model"]

FULL_SCALE = 1.01
"""Sources and meters reach 101 % of a range (instruments §2.1)."""

_DECADES = (1e-6, 10e-6, 100e-6, 1e-3, 10e-3, 100e-3, 1.0)
_260X_V, _26XX_V = (0.1, 1.0, 6.0, 40.0), (0.2, 2.0, 20.0, 200.0)
_260X_A = (100e-9, *_DECADES, 3.0)
_261X_A = (100e-9, *_DECADES, 1.5)
_263X_A = (1e-9, 10e-9, 100e-9, *_DECADES, 1.5)


@dataclass(frozen=True, slots=True)
class Model:
    """One model.

    Attributes
    ----------
    channels : tuple of str
        "a", "b".
    ranges_v, source_ranges_a, ranges_a : tuple of float
        Of both, of the current source, of the current meter; ascending.
    smallest_limit_v, smallest_limit_a : float
        Least compliance that can be set.
    default_limit_v, default_limit_a : float
        Compliance after a reset: defaults.
    limit_by_range : dict of float to float
        Voltage range -> largest current limit there, A: defaults from the power envelope.
    has_interlock : bool
        The highest voltage range needs the interlock; otherwise there is an output-enable line.
    auto_delay : bool
        Measurements wait for the range to settle after a reset: a default.
    """

    name: str
    channels: tuple[str, ...]
    ranges_v: tuple[float, ...]
    source_ranges_a: tuple[float, ...]
    ranges_a: tuple[float, ...]
    smallest_limit_v: float
    smallest_limit_a: float
    default_limit_v: float
    default_limit_a: float
    limit_by_range: dict[float, float]
    has_interlock: bool
    auto_delay: bool


def _made(name: str) -> Model:
    low_current = name.startswith("263")
    high_voltage = not name.startswith("260")
    single = name in ("2601B", "2611B", "2635B")
    source = _263X_A if low_current else _261X_A if high_voltage else _260X_A
    return Model(
        name=name,
        channels=("a",) if single else ("a", "b"),
        ranges_v=_26XX_V if high_voltage else _260X_V,
        source_ranges_a=source,
        # The 2634B has no 100 pA range, and nothing sources on it.
        ranges_a=(100e-12, *source) if name in ("2635B", "2636B") else source,
        smallest_limit_v=0.02 if high_voltage else 0.01,
        smallest_limit_a=100e-12 if low_current else 10e-9,
        default_limit_v=20.0 if high_voltage else 40.0,
        default_limit_a=0.1 if high_voltage else 1.0,
        limit_by_range={200.0: 0.1, 40.0: 1.0},
        has_interlock=high_voltage,
        auto_delay=low_current,
    )


MODELS = {
    name: _made(name)
    for name in ("2601B", "2602B", "2604B", "2611B", "2612B", "2614B", "2634B", "2635B", "2636B")
}
"""Name -> model."""
