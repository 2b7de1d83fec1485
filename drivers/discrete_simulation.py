"""The side door of a simulated bench: the time and the truth of the cells a chip's instruments are wired to.

A simulated bench has one resource that no real bench has. Instruments never use it; the station's clock does, and
:class:`~drivers.sim_control.SimControl` over :meth:`BenchSimulation.ask`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drivers.chip import BoardError
from drivers.errors import InstrumentError, MalformedAnswer
from drivers.visa import Answer, Unit, VisaLink

__all__ = ["SIMULATION_ADDRESS", "BenchSimulation"]

SIMULATION_ADDRESS = "TCPIP0::bench-simulation::5025::SOCKET"
"""Reserved on every simulated bench that has a chip made of instruments."""


class BenchSimulation:
    """A link to the simulation of the cells of one chip.

    Parameters
    ----------
    backend : str
        ``"bench.yaml@pcm"``.
    chip : str
        Its name in the bench file.
    timeout_s, transcript
        As of :class:`~drivers.visa.VisaLink`.

    Raises
    ------
    LinkError
        The bench is not simulated.
    InstrumentError
        It has no such chip.
    """

    def __init__(self, backend: str, chip: str, *, timeout_s: float = 60.0, transcript: Any = None) -> None:
        self.link = VisaLink(SIMULATION_ADDRESS, backend=backend, timeout_s=timeout_s, transcript=transcript)
        try:
            self.ask([f'SIM:CHIP "{chip}"', "SIM:CHIP?"])
        except BaseException:
            self.link.close()
            raise

    def ask(
        self, units: Sequence[Unit], *, lengths: Sequence[int | None] = (), timeout_s: float | None = None
    ) -> list[Answer]:
        """Send a message that ends with a query; one answer per query.

        Raises
        ------
        InstrumentError
            A unit was refused.
        LinkError
            The link broke.
        """
        answers = self.link.ask(units, lengths=lengths, timeout_s=timeout_s)
        wanted = sum(_is_query(unit) for unit in units)
        if len(answers) != wanted:
            errors = tuple(self.errors())
            said = "; ".join(map(str, errors)) or "no error is named"
            raise InstrumentError(f"the simulation refuses: {said}", errors=errors)
        return answers

    def send(self, units: Sequence[Unit]) -> None:
        """Send a message without a query."""
        self.link.send(units)

    def errors(self) -> list[BoardError]:
        """Drain the error queue."""
        found: list[BoardError] = []
        while True:
            (answer,) = self.link.ask(["SYST:ERR?"])
            code, _, text = answer.text.partition(",")
            if int(code) == 0:
                return found
            said, _, info = text.strip('"').partition(";")
            found.append(BoardError(int(code), said, info))

    def now_ns(self) -> int:
        """Return the time of the cells, nanoseconds since they were made."""
        (answer,) = self.ask(["XLAB:TIME?"])
        try:
            return int(answer.text.partition(",")[0])
        except ValueError:
            raise MalformedAnswer(f"the simulation told the time as {answer.text!r}") from None

    def close(self) -> None:
        """Close the link."""
        self.link.close()


def _is_query(unit: Unit) -> bool:
    head = unit if isinstance(unit, str) else unit[0]
    text = head if isinstance(head, str) else head.decode("latin-1")
    return text.split(None, 1)[0].endswith("?")
