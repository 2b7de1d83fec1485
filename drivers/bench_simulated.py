"""The simulated side of a bench file: which chip stands behind an address, and what its board can drive."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from drivers.bench_fields import Amperes, Kelvin, Number, Section, Volts, as_path, beside

__all__ = ["BORN_UNIX_NS", "Simulated", "SimulatedLimits", "SimulatedTwin"]

BORN_UNIX_NS = 1_767_225_600_000_000_000
"""When simulated chips are made unless the file says so: 2026-01-01T00:00:00Z."""


def _effects(value: Any) -> Any:
    from calibration.effects import EFFECTS

    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value
    if isinstance(names, tuple):
        unknown = [str(name) for name in names if name != "all" and name not in EFFECTS]
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: no such effect; there are all, {', '.join(EFFECTS)}")
        names = tuple(sorted({str(name) for name in names}))
    return names


def _moment(value: Any) -> Any:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("give Unix nanoseconds or a moment like 2026-01-01T00:00:00Z") from None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("the moment needs a time zone, e.g. 2026-01-01T00:00:00Z")
        since = value - datetime.fromisoformat("1970-01-01T00:00:00+00:00")
        return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000
    return value


class SimulatedLimits(Section):
    """What a simulated board can drive; the defaults are the reference board's (controller-protocol §7.3).

    Attributes
    ----------
    current_max_a, voltage_max_v : float
        Largest amplitudes of pulses (YAML ``current_max``, ``voltage_max``).
    read_voltage_max_v : float
        Largest read voltage, above 0.02 V and up to 2 V (YAML ``read_voltage_max``).
    """

    current_max_a: Amperes = Field(default=500e-6, gt=0.0, validation_alias="current_max")
    voltage_max_v: Volts = Field(default=3.3, gt=0.0, validation_alias="voltage_max")
    read_voltage_max_v: Volts = Field(default=0.4, gt=0.02, le=2.0, validation_alias="read_voltage_max")


class Simulated(Section):
    """What stands behind an address of a simulated bench.

    Attributes
    ----------
    model : str
        What is simulated.
    card : str
        Name of a preset, or path of a device card relative to the bench file.
    banks, rows, cols : int
        Size of the chip, cells.
    seed : int
        Makes this very chip, and all its noise.
    state : Path or None
        Absolute path of the file the chip lives in between sessions; None: in memory only.
    links : int
        Connections the board accepts.
    serial : str
        Serial number in its identity.
    mode : str
        "physics": pulses; "target-shortcut": cells are placed at targets by the card's law of programming errors.
    without : tuple of str
        Effects that are switched off, names of `calibration.effects.EFFECTS`; ``all`` makes the chip ideal.
    strict : bool
        The board refuses what leaves the range a law of the card is valid in; otherwise the log says so once.
    temperature_k : float
        Of the chip, kelvin (YAML ``temperature``).
    rate : float
        Speed of the board's clock: 0 virtual time only, 1 wall clock.
    born_unix_ns : int
        When the chip was made (YAML ``born``: Unix nanoseconds or a moment with time zone).
    threads : int or None
        Threads that compute its cells; None: all cores.
    limits : SimulatedLimits
        What its board can drive; the envelope of the bench file applies besides.
    """

    model: Literal["pcm-controller", "pcm-cells"]
    card: str = Field(min_length=1)
    banks: int = Field(default=1, ge=1, le=4096)
    rows: int = Field(ge=1, le=65_536)
    cols: int = Field(ge=1, le=65_536)
    seed: int = Field(ge=0, lt=2**64)
    state: Annotated[Path | None, BeforeValidator(as_path), AfterValidator(beside)] = None
    links: int = Field(default=4, ge=1, le=64)
    serial: str = Field(default="0001", pattern=r"^[A-Za-z0-9._-]{1,32}$")
    mode: Literal["physics", "target-shortcut"] = "physics"
    without: Annotated[tuple[str, ...], BeforeValidator(_effects)] = ()
    strict: bool = False
    temperature_k: Kelvin = Field(default=300.0, ge=77.0, le=500.0, validation_alias="temperature")
    rate: Number = Field(default=0.0, ge=0.0, le=1e6)
    born_unix_ns: Annotated[int, BeforeValidator(_moment)] = Field(
        default=BORN_UNIX_NS, ge=0, lt=2**62, validation_alias="born"
    )
    threads: int | None = Field(default=None, ge=1, le=1024)
    limits: SimulatedLimits = SimulatedLimits()

    @model_validator(mode="after")
    def _cells_fit_an_index(self) -> Simulated:
        if self.banks * self.rows * self.cols > 2**32:
            raise ValueError(
                f"{self.banks} x {self.rows} x {self.cols} cells are more than indices go to, 2^32"
            )
        return self


class SimulatedTwin(Section):
    """The twin of a bench instrument.

    Attributes
    ----------
    model : str
        Which instrument, a key of :data:`drivers.simulated.twins.TWINS`.
    serial, firmware : str or None
        In its identity; None: the model's own.
    options : dict
        What else there is to say about this kind: modules in its slots, interlock, resistors.
    """

    model: str = Field(min_length=1)
    serial: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._/#-]{1,32}$")
    firmware: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._-]{1,32}$")
    options: dict[str, str | int | float | bool | list[str]] = Field(default_factory=dict)
