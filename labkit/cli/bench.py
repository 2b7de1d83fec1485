"""What the commands at a bench share: an open station with its progress, the card, the judge, the report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.cli.progress import progress, working

if TYPE_CHECKING:
    from calibration import DeviceCard
    from labkit.judge import NetworkJudge
    from labkit.progress import Progress
    from labkit.runs import Run
    from labkit.station import Station

__all__ = ["DEMO_INPUTS", "at_work", "card_for", "demo_judge", "drawn", "judge_of"]

DEFAULT_CARD = "ibm90"
DEMO_INPUTS = {"weights": "mnist_mlp.npz of labkit.data", "images": "mnist_test.npz of labkit.data"}
"""What a run of the demonstration says of its inputs."""


@contextmanager
def at_work(station: Station) -> Iterator[Progress]:
    """Open a station, say what is wrong with it, and show progress while the block lasts."""
    from labkit.cli.output import remark

    with ExitStack() as stack:
        with working("Opening the bench"):
            stack.enter_context(station)
        for warning in station.warnings:
            remark(f"warning: {warning}")
        yield stack.enter_context(progress())


def card_for(station: Station, named: str | None) -> tuple[DeviceCard, str]:
    """Return a device card and in words where it comes from.

    Parameters
    ----------
    station : Station
        Its simulated chip's card is taken where none is named, and the preset where the chip is real.
    named : str or None
        Name of a preset or path of a file.

    Raises
    ------
    CardError
        It cannot be read.
    """
    from calibration import DeviceCard

    if named is not None:
        return DeviceCard.load(named), named
    simulated = station.bench.chips[station.name].simulated
    if simulated is None:
        return DeviceCard.load(DEFAULT_CARD), f"{DEFAULT_CARD}: neither --card nor the bench file names one"
    beside = station.bench.path.parent / simulated.card
    found = DeviceCard.load(beside if beside.is_file() else simulated.card).without(*simulated.without)
    return found, f"{simulated.card}, of the bench file"


def judge_of(run: Run) -> NetworkJudge | None:
    """Return who judges the network of a run: the shipped images for the shipped network, else nobody."""
    return demo_judge() if run.manifest.get("inputs") == DEMO_INPUTS else None


def demo_judge() -> NetworkJudge:
    """Return the judge of the shipped network."""
    from labkit.judge import NetworkJudge
    from labkit.network import Perceptron, load_demo_images

    return NetworkJudge(Perceptron, *load_demo_images())


def drawn(run: Run) -> Path:
    """Write the report of a run.

    Raises
    ------
    RunError, DiskFull
        It could not be written; a note says that the run itself is whole.
    """
    from labkit.report import write_report

    try:
        with working("Drawing the report"):
            return write_report(run)
    except Exception as error:
        error.add_note(f"the run itself is whole; draw it later with: labkit report {run.path}")
        raise
