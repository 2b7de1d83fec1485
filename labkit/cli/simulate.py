"""``labkit simulate``."""

from __future__ import annotations

import signal
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli.options import BenchFile, InstrumentName
from labkit.errors import Interrupted, StationError
from labkit.interrupts import SIGNALS

if TYPE_CHECKING:
    from drivers.simulated.link import Port
    from drivers.simulated.registry import SimulatedBench, SimulatedInstrument
    from drivers.simulated.server import InstrumentServer

__all__ = ["simulate"]


def simulate(
    bench: BenchFile,
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="TCP port; 0 takes a free one.")
    ] = 5025,
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Where to listen; the protocol has no security."),
    ] = "127.0.0.1",
    event_port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=65535,
            help="TCP port of the events; 0 takes a free one.",
            show_default="the one behind --port",
        ),
    ] = None,
    instrument: InstrumentName = None,
) -> None:
    """Serve a simulated chip to any VISA program.

    Over a raw socket, until Ctrl-C or SIGTERM. The VISA address is printed on
    a line of its own, that of the event port on the next. At the end the chip
    is saved, where the bench file names a state file.
    """
    from drivers.simulated.registry import open_bench
    from labkit.cli.output import flush, remark, say
    from labkit.cli.progress import working

    with open_bench(bench) as opened:
        served = _chosen(opened, instrument)
        with working("Opening the chip"):
            cells = int(served.board.chip.cells)
        with suppress(Interrupted):
            _raise_once()
            with (
                _listening(served, host, port, "--port") as server,
                _listening(
                    opened.events[served.name], host, _beside(port, event_port), "--event-port"
                ) as events,
            ):
                say(server.address)
                say(events.address)
                flush()  # a script reads it through a pipe
                remark(f"{served.name}: {cells:,} cells; Ctrl-C saves the chip and ends")
                server.wait()


def _chosen(bench: SimulatedBench, name: str | None) -> SimulatedInstrument:
    names = list(bench.boards)
    if not names:
        raise StationError(f"{bench.path} simulates nothing; give an instrument a simulated section")
    if name is None and len(names) == 1:
        return bench.named(names[0])
    if name in names:
        return bench.named(name)
    wrong = "simulates several instruments" if name is None else f"simulates no instrument {name!r}"
    raise StationError(f"{bench.path} {wrong}; choose with --instrument: {', '.join(names)}", path=bench.path)


def _beside(port: int, event_port: int | None) -> int:
    """Where the events are: the port behind the board's, a free one where that was free to choose."""
    if event_port is not None:
        return event_port
    if port == 65535:
        raise StationError("there is no TCP port behind 65535 for the events; choose one with --event-port")
    return port + 1 if port else 0


def _listening(served: Port, host: str, port: int, option: str) -> InstrumentServer:
    from drivers.simulated.server import InstrumentServer

    try:
        return InstrumentServer(served, port, host)
    except OSError as error:
        raise StationError(
            f"cannot listen at {host} port {port}: {error.strerror or error}; choose another {option}, 0 takes "
            "a free one"
        ) from error


def _raise_once() -> None:
    """Let the first signal end the serving; later ones must not disturb the saving of the chip."""

    def handle(number: int, _frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(signal=number)

    for each in SIGNALS:
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, handle)
