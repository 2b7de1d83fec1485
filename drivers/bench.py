"""The bench file: which instruments stand on the bench, what simulates them, and the host's limits.

YAML, read without ever running what it says; a key given twice, an unknown key or a wrong unit is refused,
and all problems are named at once. Quantities carry a unit ("60 s", "460 uA") or are SI numbers.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from drivers.bench_fields import Amperes, Number, Seconds, Section, Siemens, Volts
from drivers.bench_instruments import BenchInstrument, ChipEntry, DiscreteChip, Instrument
from drivers.bench_simulated import BORN_UNIX_NS, Simulated, SimulatedLimits, SimulatedTwin
from drivers.bench_wiring import Wiring
from drivers.errors import DriverError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydantic_core import ErrorDetails

    from drivers.chip import Geometry

__all__ = [
    "BORN_UNIX_NS",
    "BenchError",
    "BenchFile",
    "BenchInstrument",
    "ChipEntry",
    "DiscreteChip",
    "Envelope",
    "Instrument",
    "References",
    "Simulated",
    "SimulatedLimits",
    "SimulatedTwin",
    "load_bench",
]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)


class BenchError(DriverError):
    """A bench file cannot be used.

    Attributes
    ----------
    path : Path
        The file.
    problems : tuple of str
        One line each, ``field.in.dots: what is wrong with it``.
    """

    def __init__(self, path: Path, problems: tuple[str, ...]) -> None:
        self.path = path
        self.problems = problems
        head = f"{path} cannot be used as a bench file"
        super().__init__(
            f"{head}: {problems[0]}" if len(problems) == 1 else "\n  ".join((f"{head}:", *problems))
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.path, self.problems))


class Envelope(Section):
    """Limits the host keeps, whatever the board allows.

    Attributes
    ----------
    current_max_a : float
        Largest programming current, ampere (YAML ``current_max``).
    voltage_max_v : float or None
        Largest amplitude of voltage pulses, volt (YAML ``voltage_max``); None: the board's own limit.
    width_max_s : float
        Longest pulse, rise + top + fall, seconds (YAML ``width_max``).
    read_voltage_max_v : float
        Largest read voltage, volt (YAML ``read_voltage_max``).
    pulses_per_cell_max : int
        Wear budget: pulses a cell may get in all.
    """

    current_max_a: Amperes = Field(default=460e-6, gt=0.0, validation_alias="current_max")
    voltage_max_v: Volts | None = Field(default=None, gt=0.0, validation_alias="voltage_max")
    width_max_s: Seconds = Field(default=1e-3, gt=0.0, validation_alias="width_max")
    read_voltage_max_v: Volts = Field(default=0.3, gt=0.0, validation_alias="read_voltage_max")
    pulses_per_cell_max: int = Field(default=100_000, ge=1, lt=2**32)


class References(Section):
    """Rows whose cells are resistors of known value, in every bank and column; nothing ever pulses them.

    Attributes
    ----------
    rows : dict of int to float
        Row -> nominal conductance of its cells as their columns see them, siemens.
    tolerance : float
        How well the nominal value is known, as a fraction of it: each cell's own value lies within with a
        probability of 95 %, independently of the other cells.
    """

    rows: dict[Annotated[int, Field(ge=0, lt=65_536)], Annotated[Siemens, Field(gt=0.0)]] = Field(
        min_length=1
    )
    tolerance: Number = Field(ge=0.0, le=0.5)

    def cells(self, geometry: Geometry) -> NDArray[np.uint32]:
        """Return the indices of all reference cells, bank by bank and row by row, shape (n,), ascending."""
        import numpy as np

        rows = np.array(sorted(self.rows), np.int64)
        first = (np.arange(geometry.banks)[:, np.newaxis] * geometry.rows + rows).reshape(-1, 1)
        return (first * geometry.cols + np.arange(geometry.cols)).reshape(-1).astype(np.uint32)


def _kind(entry: Any) -> str:
    """Tell which kind of section an instrument is."""
    driver = entry.get("driver") if isinstance(entry, dict) else getattr(entry, "driver", None)
    return driver if driver in ("pcm-controller", "discrete") else "instrument"


class BenchFile(Section):
    """A bench file; made by :func:`load_bench`.

    Attributes
    ----------
    version : int
        Version of the format, 1.
    name : str
        What people call the bench.
    instruments : dict of str to Instrument, DiscreteChip or BenchInstrument
        By the name the file gives them.
    wiring : tuple of str
        What is connected to what, see :mod:`drivers.bench_wiring`.
    envelope : Envelope
        The host's limits.
    references : References or None
        Rows that hold resistors instead of memory cells.
    """

    version: Literal[1]
    name: str = Field(min_length=1, max_length=200)
    instruments: dict[
        str,
        Annotated[
            Annotated[Instrument, Tag("pcm-controller")]
            | Annotated[DiscreteChip, Tag("discrete")]
            | Annotated[BenchInstrument, Tag("instrument")],
            Discriminator(_kind),
        ],
    ] = Field(min_length=1)
    wiring: tuple[str, ...] = Field(default=(), strict=False)
    envelope: Envelope = Envelope()
    references: References | None = None
    _path: Path = PrivateAttr(default=Path())
    _text: str = PrivateAttr(default="")
    _connections: Wiring = PrivateAttr(default_factory=Wiring)

    @property
    def connections(self) -> Wiring:
        """What the lines of ``wiring`` say."""
        return self._connections

    @property
    def chips(self) -> dict[str, ChipEntry]:
        """The chips among the instruments, by name."""
        return {name: found for name, found in self.instruments.items() if isinstance(found, ChipEntry)}

    @property
    def path(self) -> Path:
        """Absolute path of the file."""
        return self._path

    @property
    def text(self) -> str:
        """The file as it was read."""
        return self._text

    @property
    def sha256(self) -> str:
        """SHA-256 of the file as it was read, hexadecimal."""
        return hashlib.sha256(self._text.encode()).hexdigest()

    @model_validator(mode="after")
    def _nothing_is_shared(self) -> BenchFile:
        addresses: dict[str, str] = {}
        states: dict[Path, str] = {}
        calibrations: dict[Path, str] = {}
        for name, instrument in self.instruments.items():
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no name for an instrument: letters, digits, '_' and '-'")
            if (other := addresses.setdefault(instrument.address.upper(), name)) != name:
                raise ValueError(f"{other} and {name} have the same address {instrument.address}")
            if not isinstance(instrument, ChipEntry):
                continue
            state = instrument.simulated.state if instrument.simulated else None
            if state is not None and (other := states.setdefault(state, name)) != name:
                raise ValueError(f"{other} and {name} have the same state file {state}")
            kept = instrument.read_calibration
            if kept is not None and (other := calibrations.setdefault(kept, name)) != name:
                raise ValueError(f"{other} and {name} have the same read calibration {kept}")
        return self

    @model_validator(mode="after")
    def _wires_have_two_ends(self) -> BenchFile:
        self._connections, problems = Wiring.read(self.wiring, self.instruments)
        if problems:
            raise PydanticCustomError("wiring", "{problems}", {"problems": problems})
        return self

    @model_validator(mode="after")
    def _references_are_on_the_chip(self) -> BenchFile:
        for name, instrument in self.chips.items():
            rows = instrument.simulated.rows if instrument.simulated else None
            if self.references is None or rows is None:
                continue
            if outside := sorted(row for row in self.references.rows if row >= rows):
                raise ValueError(
                    f"references.rows: {', '.join(map(str, outside))} is not on {name}, whose rows are "
                    f"0 .. {rows - 1}"
                )
            if len(self.references.rows) == rows:
                raise ValueError(
                    f"references.rows: all rows of {name} are references, none is left for cells"
                )
        return self


def load_bench(path: str | Path) -> BenchFile:
    """Read a bench file.

    Parameters
    ----------
    path : path
        YAML, UTF-8. Paths in it are relative to its folder.

    Raises
    ------
    BenchError
        The file cannot be read or used; ``problems`` lists all that is wrong with it.
    """
    path = Path(path).expanduser().absolute()
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise BenchError(path, (error.strerror or str(error),)) from error
    except UnicodeDecodeError as error:
        raise BenchError(path, (f"it is no text in UTF-8 (byte {error.start})",)) from error
    data = _parse(path, text)
    if not isinstance(data, dict):
        raise BenchError(path, ("it holds no keys; the least is version, name and instruments",))
    try:
        bench = BenchFile.model_validate(data, context={"folder": path.parent}, by_alias=True, by_name=False)
    except ValidationError as error:
        raise BenchError(path, _problems(error.errors())) from error
    bench._path = path
    bench._text = text
    return bench


def _parse(path: Path, text: str) -> Any:
    import yaml

    twice: list[str] = []

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            seen: dict[str, int] = {}
            for key, _ in node.value:
                line = key.start_mark.line + 1
                if key.value in seen:
                    twice.append(
                        f"line {line}: {key.value!r} is given twice, first in line {seen[key.value]}"
                    )
                elif isinstance(key, yaml.ScalarNode):
                    seen[key.value] = line
                    if key.tag.endswith(":bool"):  # YAML 1.1 takes the key "off" for a truth value
                        key.tag = key.tag.replace(":bool", ":str")
            found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
            return found

    try:
        data = yaml.load(text, Loader=Loader)  # noqa: S506 - the class above is a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise BenchError(path, (f"{where}{error.problem or error.context or 'not YAML'}",)) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BenchError(path, (f"it is not YAML: {str(error).splitlines()[0]}",)) from error
    if twice:
        raise BenchError(path, tuple(twice))
    return data


def _problems(found: list[ErrorDetails]) -> tuple[str, ...]:
    """One line each; of an instrument whose driver is not known, that alone can be told."""

    def names_driver(each: ErrorDetails) -> bool:
        return each["loc"][:1] == ("instruments",) and each["loc"][3:] == ("driver",)

    strange = {each["loc"][:3] for each in found if names_driver(each)}
    lines: list[str] = []
    for each in found:
        if each["type"] == "wiring":
            lines += [f"wiring: {problem}" for problem in each["ctx"]["problems"]]
        elif names_driver(each) or each["loc"][:3] not in strange:
            lines.append(_problem(each))
    return tuple(lines)


def _problem(found: ErrorDetails) -> str:
    """One line for one thing pydantic found."""
    parts = [str(part) for part in found["loc"] if part != "[key]"]
    kind, context = found["type"], found.get("ctx", {})
    if parts[:1] == ["instruments"] and len(parts) > 2:
        del parts[2]  # the kind of section
    where = ".".join(parts) or "file"
    if kind == "extra_forbidden":
        what = "there is no such key"
    elif kind == "missing":
        what = "is missing"
    elif kind == "value_error":
        what = str(context["error"])
    elif kind == "string_type":
        what = f"should be text; put quotes around {found['input']!r}"
    elif kind == "literal_error":
        what = f"is {found['input']!r}; possible is {context['expected']}"
    else:
        message = found["msg"]
        what = f"is {found['input']!r}: {message[:1].lower()}{message[1:]}"
    return f"{where}: {what}"
