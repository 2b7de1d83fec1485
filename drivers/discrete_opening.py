"""Opening a chip made of instruments: every instrument its section names, its ways, its journal."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from drivers.bench import BenchFile, BenchInstrument
from drivers.bench_instruments import DiscreteChip as Section
from drivers.bench_wiring import GROUND, Wiring
from drivers.discrete import DiscreteChip, DiscreteParts, DiscreteSettings
from drivers.discrete_journal import Journal
from drivers.discrete_routes import Sockets, ways_through
from drivers.discrete_simulation import BenchSimulation
from drivers.errors import LoadMismatch, WiringError
from drivers.instruments import open_instrument
from drivers.roles import CrosspointMatrix, Oscilloscope, PulseSource, SourceMeter, Thermometer

if TYPE_CHECKING:
    from drivers.instrument import Instrument

__all__ = ["journal_of", "open_discrete"]

Role = TypeVar("Role")

_SETTINGS = ("on_ohm", "holding_v", "read_limit_a", "noise_floor_a", "word_line_read_v", "word_line_pulse_v")
_OPEN_OHM = 1e5
"""Loads from here on are as good as none: generators spell an open output as a large number."""


def open_discrete(bench: BenchFile, name: str, *, transcript: Any = None) -> DiscreteChip:
    """Open a chip made of instruments.

    Parameters
    ----------
    bench : BenchFile
    name : str
        Of the chip in it.
    transcript : callable or list, optional
        Gets a line for every message and reply, with the instrument's name in front.

    Raises
    ------
    WiringError
        A cell cannot be reached, or a channel is not what the section says.
    LoadMismatch
        The generator is set for another load than is wired.
    LockRefused, JournalError
        Another program has the chip; its journal cannot be used.
    DriverError
        An instrument cannot be opened; those opened before are safe and closed.
    """
    chip = bench.instruments[name]
    if not isinstance(chip, Section):
        raise WiringError(f"{name} is no chip made of instruments, but a {chip.driver}")
    sockets = Sockets(chip.smu, chip.pulser, chip.word_line, chip.matrix)
    ways = ways_through(
        bench.connections, sockets, name, chip.rows, chip.cols, transistors=chip.access == "transistor"
    )
    journal = Journal(journal_of(bench, name), chip.rows * chip.cols)
    opened = _Opened(bench, chip.backend, transcript)
    simulation: BenchSimulation | None = None
    try:
        parts = opened.parts(chip)
        load_ohm = _wired_load(bench.connections, chip.pulser)
        _check_load(parts.pulser, chip.pulser, load_ohm)
        if chip.backend == "@pcm":
            simulation = BenchSimulation(
                f"{bench.path}@pcm", name, timeout_s=chip.timeout_s, transcript=_named(transcript, name)
            )
        # What an earlier program left on is off before the first relay moves.
        for source in parts.sources_in:
            opened.instruments[source].make_safe()
        return DiscreteChip(
            name,
            chip.rows,
            chip.cols,
            parts,
            ways,
            journal,
            settings=_settings(chip, load_ohm, bench.envelope.current_max_a),
            simulation=simulation,
        )
    except BaseException:
        for each_name, each in opened.instruments.items():
            if each_name in _sources_of(chip):
                each.safe()
            with suppress(Exception):  # what is raised already says what is wrong
                each.close()
        if simulation is not None:
            simulation.close()
        journal.close()
        raise


def journal_of(bench: BenchFile, name: str) -> Path | None:
    """Return where the journal of a chip is kept: where its section says, else beside the bench file or the state.

    A simulated chip without a state file is gone with the program, and so is its journal: None.
    """
    chip = bench.chips[name]
    if isinstance(chip, Section) and chip.journal is not None:
        return chip.journal
    if chip.backend == "@pcm" and chip.simulated is not None:
        state = chip.simulated.state
        return None if state is None else state.with_name(f"{state.name}.journal")
    return bench.path.with_name(f"{bench.path.stem}.{name}.journal")


def _settings(chip: Section, load_ohm: float, current_max_a: float) -> DiscreteSettings:
    named = {key: getattr(chip, key) for key in _SETTINGS if getattr(chip, key) is not None}
    return DiscreteSettings(load_ohm=load_ohm, current_max_a=current_max_a, **named)


class _Opened:
    """Instruments of a bench, each opened once."""

    def __init__(self, bench: BenchFile, backend: str, transcript: Any) -> None:
        self._bench, self._backend, self._transcript = bench, backend, transcript
        self.instruments: dict[str, Instrument] = {}

    def parts(self, chip: Section) -> DiscreteParts:
        scope, _, scope_channel = (chip.scope or "").partition(".")
        return DiscreteParts(
            pulser=self._channel(chip.pulser, "pulser", PulseSource),  # type: ignore[type-abstract]
            smu=self._channel(chip.smu, "smu", SourceMeter),  # type: ignore[type-abstract]
            word_line=self._maybe(chip.word_line, "word_line", SourceMeter),
            matrix=self._whole(chip.matrix, "matrix", CrosspointMatrix),
            thermometer=self._maybe(chip.thermometer, "thermometer", Thermometer),
            scope=self._whole(scope or None, "scope", Oscilloscope),
            scope_channel=scope_channel,
            instruments=self.instruments,
            sources_in=_sources_of(chip),
        )

    def _instrument(self, name: str, what: str) -> Instrument:
        if name not in self.instruments:
            entry = self._bench.instruments.get(name)
            if not isinstance(entry, BenchInstrument):
                raise WiringError(
                    f"{what}: {self._bench.path} has no bench instrument {name!r}; add it under instruments"
                )
            if entry.backend != self._backend:
                raise WiringError(
                    f"{what}: {name} has the backend {entry.backend} and the chip {self._backend}; both are real, "
                    "or both are simulated"
                )
            self.instruments[name] = open_instrument(
                entry, self._bench.path, transcript=_named(self._transcript, name)
            )
        return self.instruments[name]

    def _channel(self, socket: str, what: str, role: type[Role]) -> Role:
        name, _, channel = socket.partition(".")
        instrument = self._instrument(name, what)
        part = instrument.parts().get(channel)
        if part is None:
            raise WiringError(
                f"{what}: {instrument!r} has no channel {channel!r}; it has {', '.join(instrument.parts())}"
            )
        return _having(part, socket, what, role)

    def _maybe(self, socket: str | None, what: str, role: Any) -> Any:
        return None if socket is None else self._channel(socket, what, role)

    def _whole(self, name: str | None, what: str, role: Any) -> Any:
        return None if name is None else _having(self._instrument(name, what), name, what, role)


def _sources_of(chip: Section) -> tuple[str, ...]:
    """Return the names of the instruments that can put a voltage on a cell."""
    sockets = (chip.pulser, chip.smu, chip.word_line)
    return tuple(dict.fromkeys(socket.partition(".")[0] for socket in sockets if socket is not None))


def _having(part: Any, socket: str, what: str, role: type[Role]) -> Role:
    if not isinstance(part, role):
        raise WiringError(f"{what}: {socket} is a {type(part).__name__}, which is no {role.__name__}")
    return part


def _wired_load(wiring: Wiring, socket: str) -> float:
    """Return the resistor from a generator's output to ground, Ohm; infinite where there is none.

    Raises
    ------
    WiringError
        It stands behind another resistor, so that the generator's voltage is not that of the cell.
    """
    way = wiring.path(socket, GROUND)
    if way is None:
        return math.inf
    if len(way) > 1 or way[0].ohm <= 0.0:
        raise WiringError(
            f"{socket} is connected to ground by {way[-1].line!r}: only a load right at its output is understood"
        )
    return way[0].ohm


def _check_load(pulser: PulseSource, socket: str, wired_ohm: float) -> None:
    """See that a generator that can tell which load it was set for was not told of another one than is wired.

    It gives the same pulses whatever was set, since pulses are asked for in volts of the open output; but who set
    another load knows of one that the wiring does not show. Its own resistance is what it is delivered with, and says
    nothing where no load is wired.

    Raises
    ------
    LoadMismatch
    """
    set_ohm = getattr(pulser, "load_ohm", None)
    if set_ohm is None or _near(set_ohm, wired_ohm):
        return
    if wired_ohm >= _OPEN_OHM and _near(set_ohm, pulser.pulse_limits().source_ohm):
        return
    raise LoadMismatch(
        f"{socket} is set for a load of {set_ohm:g} Ohm and the wiring shows {wired_ohm:g} Ohm, so one of the two is "
        "wrong and cells would see another voltage: set its load_ohm, or complete the wiring",
        set_ohm=float(set_ohm),
        wired_ohm=wired_ohm,
    )


def _near(one_ohm: float, other_ohm: float) -> bool:
    """Whether two loads are one: within a hundredth, or both as good as open."""
    if min(one_ohm, other_ohm) >= _OPEN_OHM:
        return True
    return abs(one_ohm - other_ohm) <= 0.01 * min(one_ohm, other_ohm)


def _named(transcript: Any, name: str) -> Callable[[str], object] | None:
    if transcript is None:
        return None
    note = transcript.append if hasattr(transcript, "append") else transcript
    return lambda line: note(f"{name} {line}")
