"""The device card: everything the toolkit knows of a device, in one plain file.

The file a campaign exports is the file the simulated chip boots from. A card is YAML of the schema
``labkit-device-card/1``::

    schema: labkit-device-card/1
    name: my-chip
    description: what it is, one line
    g_max: {value: 25 uS, status: default, source: full scale of the weight map}
    t0: {value: 20 s, status: default, source: age of the first read}
    laws:
      drift:
        form: table
        validity: {g: [0.05, 1], age_s: [20 s, 1 d], temperature_k: [298 K, 302 K]}

Parameters
----------
          mean_table: {g: [0.1, 1], values: [0.06, 0.05], unit: "1", status: default, source: by eye}
          ...

Every number has a unit, a status and a source; ``calibration/presets/ibm90.yaml`` is a complete example.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from calibration.card_file import read_text, read_yaml, write_yaml
from calibration.card_reading import SCHEMA, check_parts, read_card
from calibration.errors import CardError, MissingLawError, Problem
from calibration.forms import LAW_FORMS, build_law
from calibration.laws.accumulation import Accumulation
from calibration.laws.array import Columns, Lines, SpatialCorrelation
from calibration.laws.crystallisation import ReadDisturb, Retention
from calibration.laws.current_voltage import CurrentVoltage
from calibration.laws.drift import Drift
from calibration.laws.endurance import Damage, Endurance
from calibration.laws.faults import InitialFaults
from calibration.laws.law import Law
from calibration.laws.programming_curve import ProgrammingCurve
from calibration.laws.programming_error import ProgrammingError
from calibration.laws.read_chain import ReadChain
from calibration.laws.read_noise import ReadNoise
from calibration.laws.telegraph_noise import TelegraphNoise
from calibration.laws.temperature import Temperature
from calibration.laws.threshold_switching import ThresholdSwitching
from calibration.number import Number
from calibration.presets import preset_names, preset_text
from calibration.section import LawSection
from calibration.validity import Validity

__all__ = ["SCHEMA", "DeviceCard", "LawSection", "Validity"]

_AnyLaw = TypeVar("_AnyLaw", bound=Law)


@dataclass(frozen=True)
class DeviceCard:
    """A device in numbers, each with unit, status and source.

    Parameters
    ----------
    name, description : str
        What the device is.
    g_max : Number
        Full scale of the weight map, S; the g of all laws is G / g_max.
    t0 : Number
        Age at which the programming error holds and the drift factor is 1, s.
    laws : mapping
        Law name -> `LawSection`. A card may hold some of the laws only; asking for another raises
        `MissingLawError`.

    Raises
    ------
    CardError
        Listing everything that is wrong, each with its dotted field name.

    Examples
    --------
    >>> card = DeviceCard.load("ibm90")
    >>> round(float(card.programming_error.sigma_s(0.84)) * 1e6, 3)
    1.086
    """

    schema: ClassVar[str] = SCHEMA

    name: str
    description: str
    g_max: Number
    t0: Number
    laws: Mapping[str, LawSection]

    def __post_init__(self) -> None:
        self.validate()

    def __hash__(self) -> int:
        return hash(self.fingerprint())

    # Files

    @classmethod
    def load(cls, source: str | Path) -> DeviceCard:
        """Read a card.

        Parameters
        ----------
        source : str or Path
            Name of a preset ("ibm90") or path of a file. A `Path` is always a file.

        Raises
        ------
        CardError
            No such card, or one with problems; all of them are listed.
        """
        if isinstance(source, str) and source in preset_names():
            return cls.from_dict(read_yaml(preset_text(source), source), path=source)
        path = Path(source)
        if not path.exists():
            message = f"no such file, and no such preset; the presets are {', '.join(preset_names())}"
            raise CardError([Problem("", message)], path=path)
        return cls.from_dict(read_yaml(read_text(path), path), path=path)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], *, path: str | Path | None = None) -> DeviceCard:
        """Make a card of plain data, as a card file holds it.

        Parameters
        ----------
        data : mapping
            The file's content.
        path : str or Path, optional
            Named in messages.

        Raises
        ------
        CardError
            Listing everything that is wrong.
        """
        parts, problems = read_card(data)
        if problems:
            raise CardError(problems, path=path)
        return cls(**parts)

    def to_dict(self) -> dict[str, Any]:
        """Return the card as plain data, with the units written out."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "description": self.description,
            "g_max": self.g_max.to_dict(),
            "t0": self.t0.to_dict(),
            "laws": {name: section.to_dict() for name, section in self.laws.items()},
        }

    def save(self, path: str | Path) -> None:
        """Write the card; a reader sees the old file or the whole new one.

        Raises
        ------
        CardError
            The file cannot be written; an older one is untouched.
        """
        self.validate()
        write_yaml(self.to_dict(), Path(path))

    def validate(self) -> None:
        """Check everything again.

        Raises
        ------
        CardError
            Listing everything that is wrong.
        """
        problems = check_parts(self.name, self.description, self.g_max, self.t0, self.laws)
        if problems:
            raise CardError(problems, path=self.name if isinstance(self.name, str) and self.name else None)

    # Content

    @property
    def g_max_s(self) -> float:
        """Full scale of the weight map, S."""
        return self.g_max.value

    @property
    def t0_s(self) -> float:
        """Reference age of the target-level laws, s."""
        return self.t0.value

    def numbers(self) -> Iterator[tuple[str, Number]]:
        """Iterate over all numbers of the card, each with its dotted name as in the file."""
        yield "g_max", self.g_max
        yield "t0", self.t0
        for law, section in self.laws.items():
            for name, parameter in section.parameters.items():
                if isinstance(parameter, str):
                    continue
                for part, number in parameter.numbers():
                    yield f"laws.{law}.parameters.{name}" + (f".values.{part}" if part else ""), number

    def fingerprint(self) -> str:
        """Return the sha256 (64 hex digits) of the content.

        It changes with any number, word, source or range, and not with the order of fields, comments or the
        way units are spelled.
        """
        content = {
            "schema": SCHEMA,
            "name": self.name,
            "description": self.description,
            "g_max": self.g_max.model_dump(mode="json"),
            "t0": self.t0.model_dump(mode="json"),
            "laws": {
                law: {
                    "form": section.form,
                    "validity": section.validity.model_dump(mode="json"),
                    "parameters": {
                        name: parameter if isinstance(parameter, str) else parameter.model_dump(mode="json")
                        for name, parameter in section.parameters.items()
                    },
                }
                for law, section in self.laws.items()
            },
        }
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def with_values(self, changes: Mapping[str, float | str], *, source: str) -> DeviceCard:
        """Return a card with some numbers or words changed, each then a default of the given source.

        Parameters
        ----------
        changes : mapping
            Dotted name -> SI number, text with unit, or word; names as `numbers` gives them for single
            numbers, such as ``"laws.drift.parameters.onset_s"``.
        source : str
            Why they were changed.

        Raises
        ------
        CardError
            A name that does not exist, or values that do not fit.
        """
        data = self.to_dict()
        problems = []
        for name, value in changes.items():
            *path, last = name.split(".")
            place: Any = data
            for part in path:
                place = place.get(part) if isinstance(place, dict) else None
            entry = place.get(last) if isinstance(place, dict) else None
            if isinstance(entry, dict) and "value" in entry:
                unit = next(number.unit for dotted, number in self.numbers() if dotted == name)
                place[last] = {"value": value, "unit": unit, "status": "default", "source": source}
            elif isinstance(entry, str) and isinstance(place, dict):
                place[last] = value
            else:
                problems.append(Problem(name, "is not a single number or word of this card"))
        if problems:
            raise CardError(problems, path=self.name)
        return type(self).from_dict(data, path=self.name)

    def without(self, *effects: str) -> DeviceCard:
        """Return a card with some effects switched off.

        Parameters
        ----------
        *effects : str
            Names of `calibration.effects.EFFECTS`, or "all": then the chip is ideal.

        Raises
        ------
        CardError
            A name that is no effect.
        """
        from calibration.effects import switched_off

        data = switched_off(self.to_dict(), effects)
        return type(self).from_dict(data, path=self.name)

    def has(self, law: str) -> bool:
        """Return whether the card holds a law; asking for one it lacks raises `MissingLawError`.

        Parameters
        ----------
        law : str
            Name of a law, as cards write it.

        Raises
        ------
        CardError
            A name that is no law of any card.
        """
        if law not in LAW_FORMS:
            raise CardError(
                [Problem(f"laws.{law}", f"is not a law of a card; there are {', '.join(LAW_FORMS)}")],
                path=self.name,
            )
        return law in self.laws

    def validity(self, law: str) -> Validity:
        """Return where a law may be trusted."""
        return self._section(law).validity

    # Laws

    @cached_property
    def programming_error(self) -> ProgrammingError:
        """Error after program-and-verify (device-physics §2.1)."""
        return self._law("programming_error", ProgrammingError)  # type: ignore[type-abstract]

    @cached_property
    def drift(self) -> Drift:
        """Drift over the age of the device (device-physics §2.2)."""
        return self._law("drift", Drift)  # type: ignore[type-abstract]

    @cached_property
    def read_noise(self) -> ReadNoise:
        """Correlated read noise (device-physics §2.3, §2.5)."""
        return self._law("read_noise", ReadNoise)  # type: ignore[type-abstract]

    @cached_property
    def accumulation(self) -> Accumulation:
        """Blind partial-SET pulses (device-physics §3.1-3.3)."""
        return self._law("accumulation", Accumulation)  # type: ignore[type-abstract]

    @cached_property
    def programming_curve(self) -> ProgrammingCurve:
        """Current and shape of a pulse (device-physics §3.4-3.6)."""
        return self._law("programming_curve", ProgrammingCurve)

    @cached_property
    def read_chain(self) -> ReadChain:
        """Converter and read voltage (device-physics §4.5)."""
        return self._law("read_chain", ReadChain)

    @cached_property
    def temperature(self) -> Temperature:
        """Conductance over temperature (device-physics §4.6)."""
        return self._law("temperature", Temperature)

    @cached_property
    def faults(self) -> InitialFaults:
        """Cells that never worked (device-physics §5)."""
        return self._law("faults", InitialFaults)

    @cached_property
    def telegraph_noise(self) -> TelegraphNoise:
        """Random telegraph noise (device-physics §2.3)."""
        return self._law("telegraph_noise", TelegraphNoise)

    @cached_property
    def current_voltage(self) -> CurrentVoltage:
        """Current over voltage and polarity (device-physics §4.1, §4.3)."""
        return self._law("current_voltage", CurrentVoltage)  # type: ignore[type-abstract]

    @cached_property
    def threshold_switching(self) -> ThresholdSwitching:
        """Reads that destroy the state (device-physics §4.2)."""
        return self._law("threshold_switching", ThresholdSwitching)

    @cached_property
    def retention(self) -> Retention:
        """Crystallisation over temperature (device-physics §5)."""
        return self._law("retention", Retention)

    @cached_property
    def read_disturb(self) -> ReadDisturb:
        """Crystallisation by reading."""
        return self._law("read_disturb", ReadDisturb)

    @cached_property
    def endurance(self) -> Endurance:
        """Wear-out (device-physics §5)."""
        return self._law("endurance", Endurance)

    @cached_property
    def damage(self) -> Damage:
        """Death by too large a current."""
        return self._law("damage", Damage)

    @cached_property
    def spatial_correlation(self) -> SpatialCorrelation:
        """What dies, rows and columns have in common."""
        return self._law("spatial_correlation", SpatialCorrelation)

    @cached_property
    def lines(self) -> Lines:
        """Resistances in series with the cells (device-physics §4.4)."""
        return self._law("lines", Lines)

    @cached_property
    def columns(self) -> Columns:
        """Errors of the read path of each column."""
        return self._law("columns", Columns)

    def _section(self, law: str) -> LawSection:
        if law not in self.laws:
            raise MissingLawError(law, card=self.name)
        return self.laws[law]

    def _law(self, name: str, kind: type[_AnyLaw]) -> _AnyLaw:
        section = self._section(name)
        law = build_law(
            LAW_FORMS[name][section.form], section.parameters, {"g_max": self.g_max_s, "t0": self.t0_s}
        )
        if not isinstance(law, kind):
            raise TypeError(f"the form {section.form!r} of {name} is not a {kind.__name__}")
        return law
