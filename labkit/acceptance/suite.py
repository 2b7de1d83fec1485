"""The whole of the acceptance tables, for any card.

Every row compares a number measured on the mock, through the interface of any other chip, with the number it must
be within its tolerance of (device-physics §9). For a card with the laws of a published preset that number is the
printed one; for any other card it is computed from the laws of that card ("mock against the implemented law").

False alarms. A chip that follows its laws exactly still misses a row when its sample happens to be an odd one. At
full size the tolerances are four standard errors or more for nearly all rows; :func:`false_alarm_rate` adds up the
probabilities over the rows of a check from their own standard errors, and for ibm90 finds 0.03: one check in
thirty or forty, over all seeds, has one such miss, mostly T9 at g = 0.04, whose tolerance is two standard errors.
Rows with bounds alone (E1, E3, S1 ...) are not in that number. The seed of the command is fixed, so that the same
card gives the same verdicts every time. With ``quick`` a row counts as missed where it lies outside its tolerance by
3.9 standard errors, which a faithful chip does less than once in a thousand checks.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labkit.acceptance.circuit import CIRCUIT
from labkit.acceptance.emergent import EMERGENT
from labkit.acceptance.noise import NOISE
from labkit.acceptance.pulse_level import PULSE_LEVEL
from labkit.acceptance.row import Row, Verdict
from labkit.acceptance.st90 import ST90
from labkit.acceptance.subject import Experiment, Subject
from labkit.acceptance.target_level import TARGET_LEVEL
from labkit.progress import SILENT, Progress

if TYPE_CHECKING:
    from calibration import DeviceCard

__all__ = [
    "EXPERIMENTS",
    "GROUPS",
    "Acceptance",
    "check_card",
    "false_alarm_rate",
    "known_ids",
    "unknown_ids",
]

EXPERIMENTS: tuple[Experiment, ...] = (*TARGET_LEVEL, *NOISE, *PULSE_LEVEL, *EMERGENT, *CIRCUIT, *ST90)
GROUPS = {
    "T": "Laws after program-and-verify",
    "P": "Pulses",
    "E": "Programming error that emerges from the loop",
    "C": "Circuit, temperature, faults",
    "S": "The st90 personality",
}
"""First letter of a row's id -> what the group is about."""


@dataclass(frozen=True)
class Acceptance:
    """The rows of a card, in the order of the tables.

    Attributes
    ----------
    card : DeviceCard
    rows : list of Row
    evidence : dict
        What figures are drawn from.
    seed : int
    quick : bool
    seconds : float
        Of the computer.
    """

    card: DeviceCard
    rows: list[Row]
    evidence: dict[str, Any]
    seed: int
    quick: bool
    seconds: float
    count: dict[Verdict, int] = field(init=False)

    def __post_init__(self) -> None:
        count = {verdict: sum(row.verdict is verdict for row in self.rows) for verdict in Verdict}
        object.__setattr__(self, "count", count)

    @property
    def ok(self) -> bool:
        """Whether no row is missed without an explanation."""
        return self.count[Verdict.MISS] == 0

    def group(self, letter: str) -> list[Row]:
        """Rows of one group."""
        return [row for row in self.rows if row.id.startswith(letter)]


def known_ids() -> list[str]:
    """Return the ids of all rows, in the order of the tables."""
    return sorted({row_id for experiment in EXPERIMENTS for row_id in experiment.ids}, key=_order)


def unknown_ids(wanted: Collection[str]) -> str:
    """Return what is wrong with ids of rows, "" where nothing is."""
    unknown = sorted(set(wanted) - set(known_ids()))
    return f"there is no row {', '.join(unknown)}; the rows are {', '.join(known_ids())}" if unknown else ""


def check_card(
    card: DeviceCard,
    *,
    seed: int = 1,
    quick: bool = False,
    only: Collection[str] = (),
    progress: Progress = SILENT,
) -> Acceptance:
    """Run the acceptance tables of a card on the mock.

    Parameters
    ----------
    card : DeviceCard
    seed : int
        Of all chips.
    quick : bool
        Reduced samples.
    only : collection of str
        Ids of rows; all by default.
    progress : Progress
        Counts thousandths of the expected time.

    Raises
    ------
    ValueError
        An id that no row has.
    """
    if problem := unknown_ids(only):
        raise ValueError(problem)
    subject = Subject(card, seed, quick)
    chosen = [experiment for experiment in EXPERIMENTS if not only or set(only) & set(experiment.ids)]
    cost = [experiment.quick_seconds if quick else experiment.seconds for experiment in chosen]
    began, rows, done = time.perf_counter(), list[Row](), 0.0
    if subject.has_pulses and any(experiment.laws for experiment in chosen):
        with _beyond_the_card():
            _prepare(subject, progress)
    progress.start(f"Checking {card.name}", 1000)
    with _beyond_the_card():
        for experiment, seconds in zip(chosen, cost, strict=True):
            progress.advance(
                round(1000 * done / sum(cost)), f"{', '.join(experiment.ids)}: {experiment.name}"
            )
            rows += _measured(experiment, subject)
            done += seconds
    progress.advance(1000)
    progress.finish()
    rows = [row for row in rows if not only or row.id in only]
    rows.sort(key=lambda row: _order(row.id))
    return Acceptance(card, rows, subject.evidence, seed, quick, time.perf_counter() - began)


def _prepare(subject: Subject, progress: Progress) -> None:
    """Use a small chip once: the first time on a computer its kernels are compiled, which no estimate should hold."""
    progress.start("Preparing the simulated chip", 1)
    with subject.bench(64) as bench:
        bench.melt_to(0.5)
        bench.read()
        bench.truth_s()
    progress.advance(1)
    progress.finish()


@contextmanager
def _beyond_the_card() -> Iterator[None]:
    """Let the mock go beyond what a card is valid for without saying so: rows at 85 °C or after a year mean to."""
    log = logging.getLogger("labkit.mock")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _measured(experiment: Experiment, subject: Subject) -> Iterable[Row]:
    obstacle = experiment.obstacle(subject)
    if obstacle:
        return [subject.absent(row_id, experiment.name, obstacle) for row_id in experiment.ids]
    return experiment.measure(subject)


def _order(row_id: str) -> tuple[int, int]:
    match = re.fullmatch(r"([A-Z])(\d+)", row_id)
    if match is None:
        raise ValueError(f"{row_id!r} is no id of a row")
    return list(GROUPS).index(match[1]), int(match[2])


def false_alarm_rate(rows: Iterable[Row], *, quick: bool = False) -> float:
    """Return how many of the rows a chip that follows its laws exactly would miss on average, over all seeds.

    From the standard error and the tolerance of each row that has an expected value, taken as normal.
    """
    total = 0.0
    for row in rows:
        expected, measured = row.expected, row.measured
        if expected is None or expected.value is None or measured is None or not measured.error > 0:
            continue
        for bound in (expected.low, expected.high):
            distance = abs(bound - expected.value) / measured.error + (3.9 if quick else 0.0)
            total += 0.5 * math.erfc(distance / math.sqrt(2.0))
    return total
