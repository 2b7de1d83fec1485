"""The instruments of a bench file: chip controllers, chips made of instruments, and the instruments themselves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from drivers.bench_fields import Amperes, Kelvin, Ohms, Seconds, Section, Volts, as_path, beside
from drivers.bench_simulated import Simulated, SimulatedTwin

__all__ = ["BenchInstrument", "ChipEntry", "DiscreteChip", "Instrument"]

_VISA_ADDRESS = re.compile(r"[A-Za-z]+\d*::[^\s]+::[A-Za-z]+|ASRL[^\s:]+::INSTR", re.ASCII)


def _address(value: str) -> str:
    if not _VISA_ADDRESS.fullmatch(value):
        raise ValueError(f"{value!r} is no VISA address; they look like TCPIP0::192.168.0.5::5025::SOCKET")
    return value


def _driver(value: str) -> str:
    from drivers.instruments import known_drivers

    known = ("pcm-controller", "discrete", *known_drivers())
    if value not in known:
        raise ValueError(f"is {value!r}; possible is {', '.join(known)}")
    return value


class ChipEntry(Section):
    """What every chip of a bench file has, whatever drives it.

    Attributes
    ----------
    backend : str
        PyVISA backend: ``"@py"``, or ``"@pcm"`` for the simulated side of this very file.
    timeout_s : float
        How long an answer may take, seconds (YAML ``timeout``).
    read_calibration : Path or None
        Absolute path of the calibration of the chip's read path, which ``labkit calibrate reads`` measures and
        a station applies where the file exists; None: readings stay raw.
    read_calibration_max_age_s : float
        Age from which it counts as stale, seconds (YAML ``read_calibration_max_age``).
    read_calibration_max_temperature_change_k : float
        Change of the chip's temperature from which it counts as stale, kelvin (YAML
        ``read_calibration_max_temperature_change``).
    simulated : Simulated or None
        The simulated chip of ``"@pcm"`` and of ``labkit simulate``.
    """

    backend: Literal["@py", "@pcm"] = "@py"
    timeout_s: Seconds = Field(default=60.0, gt=0.0, le=86_400.0, validation_alias="timeout")
    read_calibration: Annotated[Path | None, BeforeValidator(as_path), AfterValidator(beside)] = None
    read_calibration_max_age_s: Seconds = Field(
        default=7 * 86_400.0, gt=0.0, validation_alias="read_calibration_max_age"
    )
    read_calibration_max_temperature_change_k: Kelvin = Field(
        # The upper bound is for "5 C", which as a temperature is 278 K.
        default=5.0,
        gt=0.0,
        le=100.0,
        validation_alias="read_calibration_max_temperature_change",
    )
    simulated: Simulated | None = None

    if TYPE_CHECKING:

        @property
        def driver(self) -> str:
            """Which driver speaks to it."""

        @property
        def address(self) -> str:
            """Where it is reached."""

    @model_validator(mode="after")
    def _pcm_is_simulated(self) -> Self:
        if self.backend == "@pcm" and self.simulated is None:
            raise ValueError('backend "@pcm" opens the simulated side of this file: add a simulated section')
        return self


class Instrument(ChipEntry):
    """A chip behind a controller board.

    Attributes
    ----------
    driver : str
    address : str
        VISA address.
    """

    driver: Literal["pcm-controller"]
    address: Annotated[str, AfterValidator(_address)]

    @model_validator(mode="after")
    def _model_is_a_board(self) -> Instrument:
        if self.simulated is not None and self.simulated.model != "pcm-controller":
            raise ValueError(f"simulated.model: {self.simulated.model} is no controller board")
        return self


class BenchInstrument(Section):
    """A bench instrument of a maker.

    Attributes
    ----------
    driver : str
        Which driver speaks to it.
    address : str
        VISA address.
    backend : str
        PyVISA backend: ``"@py"``, or ``"@pcm"`` for the simulated side of this very file.
    timeout_s : float
        How long an answer may take beyond the measurement it waits for, seconds (YAML ``timeout``).
    model, firmware : str or None
        What the station check compares the identity with; None: any the driver is for.
    options : dict
        Keyword arguments of this kind of driver.
    simulated : SimulatedTwin or None
        What stands behind the address with ``"@pcm"`` and with ``labkit simulate``.
    """

    driver: Annotated[str, AfterValidator(_driver)]
    address: Annotated[str, AfterValidator(_address)]
    backend: Literal["@py", "@pcm"] = "@py"
    timeout_s: Seconds = Field(default=10.0, gt=0.0, le=86_400.0, validation_alias="timeout")
    model: str | None = Field(default=None, min_length=1)
    firmware: str | None = Field(default=None, min_length=1)
    options: dict[str, str | int | float | bool | list[str]] = Field(default_factory=dict)
    simulated: SimulatedTwin | None = None

    @model_validator(mode="after")
    def _pcm_is_simulated(self) -> BenchInstrument:
        if self.backend == "@pcm" and self.simulated is None:
            raise ValueError('backend "@pcm" opens the simulated side of this file: add a simulated section')
        return self


class DiscreteChip(ChipEntry):
    """Cells on a probe card, reached by the instruments of this bench; which wire leads where, ``wiring`` says.

    Attributes
    ----------
    driver : str
    rows, cols : int
        Word lines and bit lines; cells without access devices are counted row by row.
    access : str
        "transistor": each cell has one, its gates are ``name.wl[0:rows-1]``, the cells of a column share
        ``name.bl[0:cols-1]`` and all of them ``name.sl``; "none": each cell has a contact of its own,
        ``name.top[0:cells-1]``, and all share ``name.bottom``.
    smu, pulser : str
        Channels that read and that pulse, as ``instrument.channel``.
    word_line : str or None
        Channel that holds the gates, with transistors.
    matrix : str or None
        Instrument that routes them to the cells; None where one cell is wired for good.
    thermometer, scope : str or None
        Input of a temperature controller, channel of a scope.
    journal : Path or None
        Absolute path of the file that remembers what its cells were given; None: beside this file, or beside the state
        of a simulated chip.
    on_ohm, holding_v : float or None
        Resistance of a cell under a programming pulse and its holding voltage (YAML ``on_resistance``,
        ``holding_voltage``), with which currents become voltages of the generator. None, as of all that follow: the
        default of :class:`~drivers.discrete.DiscreteSettings`.
    read_limit_a, noise_floor_a : float or None
        Compliance of reads, and the current below which a reading is flagged (YAML ``read_limit``, ``noise_floor``).
    word_line_read_v, word_line_pulse_v : float or None
        What gates are held at (YAML ``word_line_read``, ``word_line_pulse``).
    """

    driver: Literal["discrete"]
    rows: int = Field(ge=1, le=4096)
    cols: int = Field(ge=1, le=4096)
    access: Literal["none", "transistor"] = "none"
    smu: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*\.[A-Za-z0-9_]+$")
    pulser: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*\.[A-Za-z0-9_]+$")
    word_line: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_-]*\.[A-Za-z0-9_]+$")
    matrix: str | None = None
    thermometer: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_-]*\.[A-Za-z0-9_]+$")
    scope: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_-]*\.[A-Za-z0-9_]+$")
    journal: Annotated[Path | None, BeforeValidator(as_path), AfterValidator(beside)] = None
    on_ohm: Ohms | None = Field(default=None, gt=0.0, validation_alias="on_resistance")
    holding_v: Volts | None = Field(default=None, ge=0.0, validation_alias="holding_voltage")
    read_limit_a: Amperes | None = Field(default=None, gt=0.0, validation_alias="read_limit")
    noise_floor_a: Amperes | None = Field(default=None, ge=0.0, validation_alias="noise_floor")
    word_line_read_v: Volts | None = Field(default=None, validation_alias="word_line_read")
    word_line_pulse_v: Volts | None = Field(default=None, validation_alias="word_line_pulse")

    @property
    def address(self) -> str:
        """Say where it is reached: its channels and matrix."""
        return " + ".join(part for part in (self.smu, self.pulser, self.matrix) if part)

    @model_validator(mode="after")
    def _cells_are_as_many(self) -> DiscreteChip:
        found = self.simulated
        if found is not None and found.model != "pcm-cells":
            raise ValueError(f"simulated.model: a discrete chip is simulated by pcm-cells, not {found.model}")
        if found is not None and (found.banks, found.rows, found.cols) != (1, self.rows, self.cols):
            raise ValueError(
                f"simulated: {found.banks} x {found.rows} x {found.cols} cells stand behind {self.rows} x {self.cols}"
            )
        return self
