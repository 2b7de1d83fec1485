"""The card under test: how large its samples are, which published numbers are its own, and how rows are judged."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from calibration import DeviceCard
from calibration.presets import preset_names
from labkit.acceptance.bench import Bench
from labkit.acceptance.explained import Explanation
from labkit.acceptance.row import Expected, Measured, Row, Status, Verdict

__all__ = ["Experiment", "Reference", "Subject"]

_QUICK_ERRORS = 3.9
"""Standard errors by which a row of the reduced sample must lie outside its tolerance to count as a miss."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An expected number and where it stands."""

    value: float
    status: Status
    source: str


@dataclass(frozen=True)
class Subject:
    """A card, and how thoroughly it is tested.

    Attributes
    ----------
    card : DeviceCard
    seed : int
        Of all chips.
    quick : bool
        Reduced samples. Tolerances stay what they are, so that a row is a miss only where it lies outside by
        3.9 standard errors of the small sample.
    evidence : dict
        What the figures of the page are drawn from, by name.
    """

    card: DeviceCard
    seed: int = 1
    quick: bool = False
    evidence: dict[str, Any] = field(default_factory=dict)

    def size(self, full: int, quick: int) -> int:
        """Choose a sample size."""
        return quick if self.quick else full

    def bench(
        self,
        cells: int,
        *off: str,
        card: DeviceCard | None = None,
        shortcut: bool = False,
        cols: int | None = None,
        chip: int = 0,
    ) -> Bench:
        """Return a bench around the card (or a variant of it) with effects switched off; chips differ by number."""
        card = (card or self.card).without(*off)
        return Bench(card, cells, seed=(self.seed << 8) + chip, shortcut=shortcut, cols=cols)

    def levels(self, cells: int, *off: str, card: DeviceCard | None = None, chip: int = 0) -> Bench:
        """Return a bench whose cells `set_levels` can bring to exact levels, by pulses where the card has any."""
        return self.bench(cells, *off, card=card, shortcut=not self.has_pulses, chip=chip)

    @property
    def has_pulses(self) -> bool:
        """Whether cells of the card can be pulsed; others are placed by the shortcut."""
        return "programming_curve" in self.card.laws and "accumulation" in self.card.laws

    # ------------------------------------------------------------------ what is expected

    def follows(self, preset: str, *laws: str) -> bool:
        """Whether the card has the very laws of a preset, and its full scale and reference age."""
        theirs = _preset(preset)
        if theirs is None or (theirs.g_max_s, theirs.t0_s) != (self.card.g_max_s, self.card.t0_s):
            return False
        return all(
            law in self.card.laws and law in theirs.laws and getattr(self.card, law) == getattr(theirs, law)
            for law in laws
        )

    def reference(
        self, laws: Iterable[str] | str, table: Reference, law_value: Callable[[], float] | float
    ) -> Reference:
        """Return the number of the table where the card has the laws of ibm90, else what its own laws say."""
        names = (laws,) if isinstance(laws, str) else tuple(laws)
        if self.follows("ibm90", *names):
            return table
        value = law_value() if callable(law_value) else law_value
        return Reference(float(value), Status.DERIVED, f"laws of this card: {', '.join(names)}")

    # ------------------------------------------------------------------ rows

    def row(
        self,
        row_id: str,
        quantity: str,
        conditions: str,
        reference: Reference,
        expected: Expected,
        measured: Measured,
        *,
        unit: str = "1",
        note: str = "",
        unless: Explanation | None = None,
    ) -> Row:
        """Judge a measured number; `unless` says why it may lie outside its tolerance, and where then."""
        fits = expected.holds(measured.value)
        room = _QUICK_ERRORS * measured.error if self.quick and math.isfinite(measured.error) else 0.0
        if not fits and room > 0:
            fits = measured.value + room >= expected.low and measured.value - room <= expected.high
        verdict = Verdict.OK if fits else Verdict.MISS
        if not fits and unless is not None and unless.covers(measured.value, room):
            verdict, note = Verdict.EXPLAINED, unless.note
        return Row(
            row_id,
            quantity,
            conditions,
            reference.status,
            reference.source,
            unit,
            expected,
            measured,
            verdict,
            note,
        )

    def unreachable(
        self,
        row_id: str,
        quantity: str,
        conditions: str,
        reference: Reference,
        *,
        unit: str = "1",
        note: str,
    ) -> Row:
        """Return a row that the chip interface cannot measure, with the argument."""
        expected = Expected(reference.value, reference.value, reference.value, "exact")
        return Row(
            row_id, quantity, conditions, reference.status, reference.source, unit, expected, None,
            Verdict.EXPLAINED, note,
        )  # fmt: skip

    def absent(self, row_id: str, quantity: str, why: str) -> Row:
        """Return a row that does not apply to this card."""
        return Row(row_id, quantity, "", Status.DERIVED, "", "1", None, None, Verdict.DOES_NOT_APPLY, why)


@dataclass(frozen=True)
class Experiment:
    """Some rows that are measured together.

    Attributes
    ----------
    name : str
        Two or three words for the progress.
    ids : tuple of str
        The rows.
    laws : tuple of str
        The card must have them.
    measure : callable
        Subject -> rows.
    seconds, quick_seconds : float
        About how long it takes on two cores.
    only : callable, optional
        Says why it does not apply to a card that has the laws; "" where it does.
    """

    name: str
    ids: tuple[str, ...]
    laws: tuple[str, ...]
    measure: Callable[[Subject], Iterable[Row]]
    seconds: float = 1.0
    quick_seconds: float = 0.5
    only: Callable[[Subject], str] | None = None

    def obstacle(self, subject: Subject) -> str:
        """Return why the experiment does not apply to a card; "" where it does."""
        missing = [law for law in self.laws if law not in subject.card.laws]
        if missing:
            return f"the card has no law {', '.join(missing)}"
        return self.only(subject) if self.only is not None else ""


@cache
def _preset(name: str) -> DeviceCard | None:
    return DeviceCard.load(name) if name in preset_names() else None
