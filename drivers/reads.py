"""Reads: one message up, one reply down, every block of it judged by what it echoes (controller-protocol §7.7)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.chip import Limits, Reading, ReadSetup
from drivers.results import fetch, items
from drivers.selections import Selections
from drivers.session import Session, integers
from drivers.visa import Answer, Unit

__all__ = ["Reads"]


class Reads:
    """The reading side of a controller.

    Parameters
    ----------
    session : Session
    limits : Limits
        Of the board.
    selections : Selections
        Shared with whoever else names cells to the board.
    on_loss : callable
        Called where the board may not know what it was told.
    """

    def __init__(
        self, session: Session, limits: Limits, selections: Selections, on_loss: Callable[[], None]
    ) -> None:
        self._session, self._limits, self._selections = session, limits, selections
        self._on_loss = on_loss
        self._setup: ReadSetup | None = None

    def forget(self) -> None:
        """Forget the settings: the board has, or may have."""
        self._setup = None

    def read(self, cells: NDArray[np.uint32], setup: ReadSetup, *, stamps: bool = True) -> Reading:
        """Read cells; ``stamps=False`` spares the transfer of the time stamps.

        One message, where the readings fit the board's largest block.

        Raises
        ------
        InstrumentError
            The read was refused or did not end well.
        StaleAnswer, MalformedAnswer, LinkError
            No answer could be trusted, twice.
        """
        handle, units = self._selections.find(cells)
        settings = self.settings_for(setup)
        takes_s = self._read_time_s(cells.size, setup)
        start: list[Unit] = [*units, *settings, "*WAI", f"READ:INIT {handle}", "*WAI", "READ:STAT?"]
        widths = (4, 1, 8) if stamps else (4, 1)
        queries = [f"READ:DATA? 0,{cells.size}", f"READ:FLAG? 0,{cells.size}", f"READ:TST? 0,{cells.size}"]
        self._session.started = "READ"
        try:
            if cells.size * max(widths) <= self._limits.block_max_bytes:
                lengths = tuple(width * cells.size for width in widths)
                state, *fetched, clock = self._session.ask(
                    [*start, *queries[: len(widths)], "SYST:TIME?"],
                    lengths=lengths,
                    timeout_s=self._session.link.timeout_s + takes_s,
                )
                blocks = self._checked_reading(state, fetched, cells.size)
            else:
                state, clock = self._session.ask(
                    [*start, "SYST:TIME?"], timeout_s=self._session.link.timeout_s + takes_s
                )
                identity = self._done_read(state)
                kinds = (("DATA", "<f4", "C,"), ("FLAG", "<u1", ""), ("TST", "<u8", ""))[: len(widths)]
                room = self._limits.block_max_bytes
                blocks = [
                    fetch(
                        self._session, f"READ:{name}? ", str(identity), cells.size, dtype, room, letter=letter
                    )
                    for name, dtype, letter in kinds
                ]
        except BaseException:
            self._on_loss()  # the message ended somewhere among its units
            raise
        self.settled(setup)
        self._session.in_flight = None
        return Reading(
            g_s=blocks[0],
            flags=blocks[1],
            t_ns=blocks[2] if stamps else None,
            read_id=integers(state.text, 1)[0],
            clock_ns=integers(clock.text, 1)[0],
            host_unix_ns=time.time_ns(),
        )

    def settings_for(self, setup: ReadSetup) -> list[Unit]:
        """Return what the board must be told before it reads like this; whoever sends it says so to `settled`."""
        if setup == self._setup:
            return []
        full = "AUTO" if setup.range_a is None else repr(float(setup.range_a))
        return [
            f"READ:VOLT {setup.voltage_v!r}",
            f"READ:AVER {setup.samples}",
            f"READ:APER {setup.aperture_s!r}",
            f"READ:RANG {full}",
        ]

    def settled(self, setup: ReadSetup) -> None:
        """Note that the board has these settings now."""
        self._setup = setup

    def _read_time_s(self, cells: int, setup: ReadSetup) -> float:
        groups = -(-cells // self._limits.parallel_read)
        return groups * setup.samples * (setup.aperture_s + self._limits.read_overhead_s)

    def _done_read(self, state: Answer) -> int:
        identity, word = [*state.text.split(","), ""][:2]
        if word != "DONE":
            raise self._session.failed(f"the read ended as {word or state.text}")
        return integers(identity, 1)[0]

    def _checked_reading(self, state: Answer, fetched: list[Answer], count: int) -> list[NDArray[Any]]:
        identity = self._done_read(state)
        dtypes = ("<f4", "<u1", "<u8")
        expected = (f"{identity},0,C,", f"{identity},0,", f"{identity},0,")
        return [
            items(answer, echo, dtype, count)
            for answer, echo, dtype in zip(fetched, expected, dtypes, strict=False)
        ]
