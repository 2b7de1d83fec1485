"""``labkit simulate``."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from labkit.cli.options import BenchFile, Json
from labkit.errors import Interrupted, StationError
from labkit.interrupts import SIGNALS

if TYPE_CHECKING:
    from drivers.simulated.hislip import HislipServer
    from drivers.simulated.link import Port
    from drivers.simulated.registry import SimulatedBench, SimulatedInstrument, TwinPort
    from drivers.simulated.server import InstrumentServer

__all__ = ["simulate"]

_PORT_MAX = 65535


def simulate(
    bench: BenchFile,
    port: Annotated[
        int,
        typer.Option(
            metavar="PORT",
            min=0,
            max=_PORT_MAX,
            help="TCP port of the first instrument, the others follow; 0 takes free ones.",
        ),
    ] = 5025,
    host: Annotated[
        str,
        typer.Option(metavar="ADDRESS", help="Where to listen; the protocols have no security."),
    ] = "127.0.0.1",
    event_port: Annotated[
        int | None,
        typer.Option(
            metavar="PORT",
            min=0,
            max=_PORT_MAX,
            help="TCP port of the controller's events; 0 takes a free one.",
            show_default="the one behind the controller's",
        ),
    ] = None,
    instrument: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Serve only this instrument; may be given several times."),
    ] = None,
    hislip: Annotated[
        bool, typer.Option("--hislip", help="Serve GPIB, USB and VXI-11 instruments over HiSLIP.")
    ] = False,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME.KIND",
            help="Spoil a reply of a bench instrument: NAME.cut, .delay=SECONDS, .garbage, .vanish, with @N behind "
            "it after N others; may be given several times.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Serve simulated instruments to any VISA program.

    Over raw sockets and HiSLIP, until Ctrl-C or SIGTERM. Where a chip's controller is all there is to serve, its
    VISA address is printed on a line of its own, that of the event port on the next; else a table says where each
    instrument is reached. At the end chips are saved, where the bench file names a state file.
    """
    from drivers.simulated.registry import open_bench
    from labkit.cli.output import flush, print_json, remark, say
    from labkit.cli.progress import working

    with open_bench(bench) as opened:
        chosen = _chosen(opened, instrument or [])
        _arm(opened, fault or [])
        with working("Opening the bench"):
            cells = {
                name: int(found.board.chip.cells) for name, found in opened.boards.items() if found in chosen
            }
            _build_twins(chosen)
        with suppress(Interrupted), ExitStack() as serving:
            _raise_once()
            served = _serve(opened, chosen, serving, host, port, event_port, over_hislip=hislip)
            if json:
                print_json({"instruments": [each.facts() for each in served]})
            elif len(chosen) == 1:
                for each in served:
                    say(each.server.address)
            else:
                _say_table(served)
            flush()  # a script reads it through a pipe
            for name, count in cells.items():
                remark(f"{name}: {count:,} cells; Ctrl-C saves the chip and ends")
            if not cells:
                remark("Ctrl-C ends")
            served[0].server.wait()


@dataclass(frozen=True)
class _Served:
    """One port that is open."""

    name: str
    model: str
    over: str
    server: InstrumentServer | HislipServer

    def facts(self) -> dict[str, str | int]:
        return {
            "name": self.name,
            "model": self.model,
            "over": self.over,
            "address": self.server.address,
            "port": self.server.port,
        }


def _say_table(served: Sequence[_Served]) -> None:
    from labkit.cli.output import say

    rows = [("instrument", "model", "over", "address")]
    rows += [(each.name, each.model, each.over, each.server.address) for each in served]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        padded = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        say(padded.rstrip(), "dim" if not number else None)


def _chosen(bench: SimulatedBench, names: Sequence[str]) -> list[SimulatedInstrument | TwinPort]:
    found = {each.name: each for each in bench.instruments.values()}
    if not found:
        raise StationError(f"{bench.path} simulates nothing; give an instrument a simulated section")
    for name in names:
        if name not in found:
            raise StationError(
                f"{bench.path} simulates no instrument {name!r}; choose with --instrument: {', '.join(found)}",
                path=bench.path,
            )
    return [each for name, each in found.items() if not names or name in names]


def _build_twins(chosen: Sequence[SimulatedInstrument | TwinPort]) -> None:
    from drivers.simulated.registry import TwinPort

    for each in chosen:
        if isinstance(each, TwinPort):
            try:
                _ = each.twin
            except ValueError as error:
                raise StationError(f"{each.name} cannot be simulated: {error}") from error


def _arm(bench: SimulatedBench, faults: Sequence[str]) -> None:
    for words in faults:
        name, _, fault = words.partition(".")
        twin = bench.twins.get(name)
        if twin is None:
            there = ", ".join(bench.twins) or "none"
            raise StationError(
                f"--fault {words}: faults are NAME.KIND of a simulated bench instrument; there is {there} (a chip's "
                "controller takes SIM:FAUL)"
            )
        try:
            twin.faults.arm(fault)
        except ValueError as error:
            raise StationError(f"--fault {words}: {error}") from error


def _serve(
    bench: SimulatedBench,
    chosen: Sequence[SimulatedInstrument | TwinPort],
    serving: ExitStack,
    host: str,
    port: int,
    event_port: int | None,
    *,
    over_hislip: bool,
) -> list[_Served]:
    """Open a port for each instrument, and another for the events of each controller."""
    from drivers.simulated.registry import SimulatedInstrument
    from drivers.simulated.transport import Transport

    controllers = [each for each in chosen if isinstance(each, SimulatedInstrument)]
    if event_port is not None and len(controllers) != 1:
        raise StationError(f"--event-port is for one controller; {len(controllers)} are served")
    served: list[_Served] = []
    following = port
    for each in chosen:
        model = bench.models[each.name]
        if isinstance(each, SimulatedInstrument):
            server = serving.enter_context(_listening(each, host, _possible(following), "--port"))
            beside = _beside(following, event_port)
            events = serving.enter_context(_listening(bench.events[each.name], host, beside, "--event-port"))
            served.append(_Served(each.name, model, "raw socket", server))
            served.append(_Served(f"{each.name} (events)", model, "raw socket", events))
            following += 2 if following else 0
            continue
        transport = Transport.of(each.address)
        if transport is Transport.HISLIP or (over_hislip and not transport.is_stream):
            hislip = serving.enter_context(_over_hislip(each, host, _possible(following)))
            served.append(_Served(each.name, model, "HiSLIP", hislip))
        else:
            server = serving.enter_context(_listening(each, host, _possible(following), "--port"))
            served.append(_Served(each.name, model, "raw socket", server))
        following += 1 if following else 0
    return served


def _possible(port: int) -> int:
    if port > _PORT_MAX:
        raise StationError(f"there are not enough TCP ports up to {_PORT_MAX}; choose a lower --port")
    return port


def _beside(port: int, event_port: int | None) -> int:
    """Where the events are: the port behind the board's, a free one where that was free to choose."""
    if event_port is not None:
        return event_port
    if port == _PORT_MAX:
        raise StationError(
            f"there is no TCP port behind {_PORT_MAX} for the events; choose one with --event-port"
        )
    return port + 1 if port else 0


def _listening(served: Port, host: str, port: int, option: str) -> InstrumentServer:
    from drivers.simulated.server import InstrumentServer

    try:
        return InstrumentServer(served, port, host)
    except OSError as error:
        raise _taken(host, port, option, error) from error


def _over_hislip(served: TwinPort, host: str, port: int) -> HislipServer:
    from drivers.simulated.hislip import HislipServer

    try:
        return HislipServer(served, port, host, name=_hislip_name(served.address))
    except OSError as error:
        raise _taken(host, port, "--port", error) from error


def _hislip_name(address: str) -> str:
    """Sub-address of a HiSLIP address, the customary one where the instrument has another kind."""
    for part in address.split("::"):
        if part.lower().startswith("hislip"):
            return part.partition(",")[0]
    return "hislip0"


def _taken(host: str, port: int, option: str, error: OSError) -> StationError:
    return StationError(
        f"cannot listen at {host} port {port}: {error.strerror or error}; choose another {option}, 0 takes "
        "a free one"
    )


def _raise_once() -> None:
    """Let the first signal end the serving; later ones must not disturb the saving of the chip."""

    def handle(number: int, _frame: FrameType | None) -> None:
        for each in SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(signal=number)

    for each in SIGNALS:
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, handle)
