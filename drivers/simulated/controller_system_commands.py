"""Commands of the simulated controller: identity, status, lock, time (controller-protocol §7.1, §7.2)."""

from __future__ import annotations

from typing import Any

from drivers.simulated.clock import TIME_END_NS
from drivers.simulated.controller import SimulatedController
from drivers.simulated.scpi import Connection, Wait, block, nr3
from drivers.simulated.scpi_commands import Command, Float, Int, Str, Word
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.scpi_output import Piece
from drivers.simulated.scpi_parser import Unit

__all__ = ["SYSTEM_COMMANDS", "board_of"]

GROUPS = "MVM,TEMP,EVEN,SIM"
_BYTE = Int(0, 255)
_REGISTER = Int(0, 65535)


def board_of(connection: Connection) -> SimulatedController:
    """Return the board behind a connection."""
    board = connection.instrument
    if not isinstance(board, SimulatedController):
        raise TypeError("these commands belong to a simulated controller")
    return board


def _identify(link: Connection, unit: Unit) -> str:
    return f"PCMLAB,PCMC-1M-SIM,{board_of(link).serial},1.0.0"


def _options(link: Connection, unit: Unit) -> str:
    return GROUPS


def _self_test(link: Connection, unit: Unit) -> str:
    if board_of(link).outputs:
        raise ScpiError(-221)
    return "0"


def _clear(link: Connection, unit: Unit) -> None:
    link.status.clear()


def _reset(link: Connection, unit: Unit) -> Wait | None:
    board = board_of(link)
    board.abort()
    if board.operation is None:
        board.reset(link)
        return None
    return Wait(board.operation, lambda: board.reset(link))


def _wait(link: Connection, unit: Unit) -> Wait | None:
    operation = board_of(link).operation
    return None if operation is None else Wait(operation, lambda: None)


def _opc_query(link: Connection, unit: Unit) -> Wait | str:
    operation = board_of(link).operation
    return "1" if operation is None else Wait(operation, lambda: "1")


def _opc(link: Connection, unit: Unit) -> None:
    link.status.opc_pending = True
    if board_of(link).operation is None:
        link.status.operation_complete()


def _esr(link: Connection, unit: Unit) -> str:
    value, link.status.esr = link.status.esr, 0
    return str(value)


def _set_ese(link: Connection, unit: Unit, value: int) -> None:
    link.status.ese = value


def _set_sre(link: Connection, unit: Unit, value: int) -> None:
    link.status.sre = value & ~0x40


def _status_byte(link: Connection, unit: Unit) -> str:
    return str(link.status.byte(locked_out=board_of(link).access.view(link) == 2))


def _preset(link: Connection, unit: Unit) -> None:
    link.status.operation.enable = link.status.questionable.enable = 0


def _register_commands(header: str, index: int) -> list[Command]:
    def register(link: Connection) -> Any:
        return link.status.questionable if index else link.status.operation

    def condition(link: Connection, unit: Unit) -> str:
        return str(board_of(link).conditions()[index])

    def event(link: Connection, unit: Unit) -> str:
        return str(register(link).take())

    def enable(link: Connection, unit: Unit) -> str:
        return str(register(link).enable)

    def set_enable(link: Connection, unit: Unit, value: int) -> None:
        register(link).enable = value

    return [
        Command(f"{header}:CONDition?", condition),
        Command(f"{header}[:EVENt]?", event),
        Command(f"{header}:ENABle?", enable),
        Command(f"{header}:ENABle", set_enable, (_REGISTER,)),
    ]


def _boot(link: Connection, unit: Unit) -> None:
    board = board_of(link)
    if board.power != "OFF":
        raise ScpiError(-221)
    board.boot()


def _request_lock(link: Connection, unit: Unit, token: str) -> str:
    board = board_of(link)
    granted = board.access.request(link, token)
    if granted:
        board.watchdog.fed(board.now_ns)
    return str(granted)


def _release_lock(link: Connection, unit: Unit) -> None:
    board_of(link).access.release()


def _abort(link: Connection, unit: Unit) -> None:
    board_of(link).abort()


def _safe(link: Connection, unit: Unit) -> None:
    board_of(link).safe()


def _set_watchdog(link: Connection, unit: Unit, limit_s: float) -> None:
    board = board_of(link)
    board.watchdog.limit_s = limit_s
    board.watchdog.fed(board.now_ns)


def _set_epoch(link: Connection, unit: Unit, unix_ns: int) -> None:
    board = board_of(link)
    board.epoch = (unix_ns, board.now_ns)


def _limits(link: Connection, unit: Unit) -> list[Piece]:
    return block("", board_of(link).limits.text.encode("ascii"))


def _geometry(link: Connection, unit: Unit) -> str:
    values = board_of(link).limits.values
    return f"{values['banks']},{values['rows']},{values['cols']}"


def _vendor_time(link: Connection, unit: Unit) -> str:
    board = board_of(link)
    return f"{board.absolute_ns},{board.born_unix_ns}"


SYSTEM_COMMANDS: list[Command] = [
    Command("*IDN?", _identify),
    Command("*OPT?", _options),
    Command("*TST?", _self_test),
    Command("*CLS", _clear),
    Command("*ESE", _set_ese, (_BYTE,)),
    Command("*ESE?", lambda link, unit: str(link.status.ese)),
    Command("*ESR?", _esr),
    Command("*OPC", _opc),
    Command("*OPC?", _opc_query),
    Command("*RST", _reset, protected=True),
    Command("*SRE", _set_sre, (_BYTE,)),
    Command("*SRE?", lambda link, unit: str(link.status.sre)),
    Command("*STB?", _status_byte),
    Command("*WAI", _wait),
    Command("SYSTem:ERRor[:NEXT]?", lambda link, unit: link.status.next_error()),
    Command("SYSTem:ERRor:COUNt?", lambda link, unit: str(len(link.status.errors))),
    Command("SYSTem:VERSion?", lambda link, unit: "1999.0"),
    Command("SYSTem:CAPability?", lambda link, unit: f"1.1,CORE,{GROUPS}"),
    Command("SYSTem:TAG?", lambda link, unit, tag: str(tag), (Int(),)),
    Command("SYSTem:BOOT", _boot, protected=True),
    Command("SYSTem:BOOT?", lambda link, unit: str(board_of(link).boot_id)),
    Command("SYSTem:LOCK:REQuest?", _request_lock, (Str(0, 64, optional=True, default=""),), missing="0"),
    Command("SYSTem:LOCK:RELease", _release_lock, protected=True),
    Command("SYSTem:LOCK:OWNer?", lambda link, unit: str(board_of(link).access.view(link))),
    Command("SYSTem:ABORt", _abort, protected=True),
    Command("SYSTem:SAFE", _safe),
    Command("SYSTem:WDOG", _set_watchdog, (Float(0.1, 86400.0, or_zero=True),), protected=True),
    Command("SYSTem:WDOG?", lambda link, unit: nr3(board_of(link).watchdog.limit_s)),
    *_register_commands("STATus:OPERation", 0),
    *_register_commands("STATus:QUEStionable", 1),
    Command("STATus:PRESet", _preset),
    Command("SYSTem:TIME?", lambda link, unit: str(board_of(link).now_ns)),
    Command("SYSTem:TIME:EPOCh", _set_epoch, (Int(0, TIME_END_NS - 1),), protected=True),
    Command("SYSTem:TIME:EPOCh?", lambda link, unit: "{},{}".format(*board_of(link).epoch)),
    Command("SYSTem:CLOCk?", lambda link, unit: str(board_of(link).limits.values["clock_hz"])),
    Command("SYSTem:LIMit?", _limits),
    Command("SYSTem:LIMit:BLOCk?", lambda link, unit: str(board_of(link).block_max)),
    Command("FORMat:BORDer", lambda link, unit, order: None, (Word(words=("SWAP",)),)),
    Command("FORMat:BORDer?", lambda link, unit: "SWAP"),
    Command("ARRay:GEOMetry?", _geometry),
    Command("XLAB:TIME?", _vendor_time),
]
