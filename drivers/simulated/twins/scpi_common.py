"""The commands every SCPI instrument has: IEEE 488.2, STATus and SYSTem (instruments §3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.twins.scpi_registers import ConditionRegister
from drivers.simulated.twins.scpi_table import Call, TwinCommand, Until
from drivers.simulated.twins.scpi_values import Number

if TYPE_CHECKING:
    from drivers.simulated.twins.scpi_twin import ScpiTwin

__all__ = ["common_commands", "status_commands", "system_commands"]

_PLACES = 10


def common_commands(twin: ScpiTwin) -> list[TwinCommand]:
    """Return the commands with an asterisk."""
    status = twin.registers

    def clear(call: Call) -> None:
        status.clear()

    def operation_complete(call: Call) -> None:
        status.opc_pending = True

    def ask_operation_complete(call: Call) -> Until:
        return Until(lambda: not twin.operations, lambda: "1")

    def wait(call: Call) -> Until:
        return Until(lambda: not twin.operations)

    def set_events(call: Call, value: float) -> None:
        status.ese = int(value)

    def set_service(call: Call, value: float) -> None:
        status.sre = int(value) & 0xBF

    def take_events(call: Call) -> str:
        value, status.esr = status.esr, 0
        return str(value)

    def ask_byte(call: Call) -> str:
        value = twin.status_value(call.link)
        return str(value | (0x40 if value & status.sre & 0xBF else 0))

    def reset(call: Call) -> None:
        twin.abort()
        status.opc_pending = False
        twin.settings.reset()
        twin.reset()

    def save(call: Call, place: float) -> None:
        twin.memory[int(place)] = twin.settings.saved()

    def recall(call: Call, place: float) -> None:
        if int(place) not in twin.memory:
            raise ScpiError(-314)
        twin.settings.recall(twin.memory[int(place)])
        twin.recalled()

    byte = (Number(low=0, high=255, whole=True),)
    place = (Number(low=0, high=_PLACES - 1, whole=True),)
    return [
        TwinCommand("*CLS", clear),
        TwinCommand("*ESE", set_events, byte),
        TwinCommand("*ESE?", lambda call: str(status.ese)),
        TwinCommand("*ESR?", take_events),
        TwinCommand(
            "*IDN?",
            lambda call: ",".join((twin.maker, twin.model, twin.serial, twin.firmware)),
            indefinite=True,
        ),
        TwinCommand("*OPC", operation_complete),
        TwinCommand("*OPC?", ask_operation_complete),
        TwinCommand("*OPT?", lambda call: twin.options, indefinite=True),
        TwinCommand("*RST", reset),
        TwinCommand("*SRE", set_service, byte),
        TwinCommand("*SRE?", lambda call: str(status.sre)),
        TwinCommand("*STB?", ask_byte),
        TwinCommand("*TRG", lambda call: twin.trigger(call.link)),
        TwinCommand("*TST?", lambda call: str(twin.self_test())),
        TwinCommand("*WAI", wait),
        TwinCommand("*SAV", save, place),
        TwinCommand("*RCL", recall, place),
    ]


def status_commands(twin: ScpiTwin) -> list[TwinCommand]:
    """Return the STATus tree."""
    operation, questionable = twin.registers.operation, twin.registers.questionable

    def preset(call: Call) -> None:
        operation.preset()
        questionable.preset()

    found = [TwinCommand("STATus:PRESet", preset)]
    for name, register in (("OPERation", operation), ("QUEStionable", questionable)):
        found += _register_commands(twin, f"STATus:{name}", register)
    return found


def _register_commands(twin: ScpiTwin, header: str, register: ConditionRegister) -> list[TwinCommand]:
    bits = (Number(low=0, high=65_535, whole=True),)

    def condition(call: Call) -> str:
        twin.settle()
        return str(register.condition)

    found = [
        TwinCommand(f"{header}[:EVENt]?", lambda call: str(register.take())),
        TwinCommand(f"{header}:CONDition?", condition),
    ]
    for name, attribute in (("ENABle", "enable"), ("PTRansition", "rising"), ("NTRansition", "falling")):

        def put(call: Call, value: float, attribute: str = attribute) -> None:
            setattr(register, attribute, int(value) & 0x7FFF)

        def ask(call: Call, attribute: str = attribute) -> str:
            return str(getattr(register, attribute))

        found += [TwinCommand(f"{header}:{name}", put, bits), TwinCommand(f"{header}:{name}?", ask)]
    return found


def system_commands(twin: ScpiTwin) -> list[TwinCommand]:
    """Return what SCPI asks of SYSTem."""
    return [
        TwinCommand("SYSTem:ERRor[:NEXT]?", lambda call: twin.registers.next_error()),
        TwinCommand("SYSTem:ERRor:COUNt?", lambda call: str(len(twin.registers.errors))),
        TwinCommand("SYSTem:VERSion?", lambda call: twin.version),
    ]
