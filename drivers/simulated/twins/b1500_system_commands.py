"""Commands of a B1500A about itself: who it is, its errors and status, waiting, self-test, calibration, settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.simulated.twins import flex
from drivers.simulated.twins.b1500_learn import learned
from drivers.simulated.twins.b1500_modules import slots_reply
from drivers.simulated.twins.b1500_source_commands import whole
from drivers.simulated.twins.flex import ERRORS, FlexError, Table

if TYPE_CHECKING:
    from drivers.simulated.twins.keysight_b1500 import KeysightB1500Twin as Twin

__all__ = ["SYSTEM"]

SYSTEM = Table()

_TEST_S = 10.0
_DIAGNOSIS_S = 2.0
"""How long a self-test and a diagnosis take: defaults [K]."""

_LONGEST_PAUSE_S = 99.9999


@SYSTEM.command("*IDN?")
def _identity(twin: Twin, values: list[float]) -> str:
    return twin.identity


@SYSTEM.command("UNT?", 0, 1)
def _modules(twin: Twin, values: list[float]) -> str:
    return slots_reply(twin.slots)


@SYSTEM.command("*RST")
def _reset(twin: Twin, values: list[float]) -> None:
    twin.reset()


@SYSTEM.command("AB", alone=True)
def _abort(twin: Twin, values: list[float]) -> None:
    twin.generators.stop()  # a measurement is over before the next message is looked at


@SYSTEM.command("CA")
def _calibrate(twin: Twin, values: list[float]) -> None:
    twin.calibrate()


@SYSTEM.command("*CAL?", 0, 1)
def _calibrated(twin: Twin, values: list[float]) -> str:
    _slot(twin, values)
    twin.calibrate()
    return "0"


@SYSTEM.command("*TST?", 0, 1)
def _tested(twin: Twin, values: list[float]) -> str:
    _slot(twin, values)
    twin.reset()
    twin.pass_s(_TEST_S)
    return "0"


@SYSTEM.command("DIAG?", 1)
def _diagnosed(twin: Twin, values: list[float]) -> str:
    whole(values[0], 1, 3, 4, 5)
    twin.clear_error()
    twin.pass_s(_DIAGNOSIS_S)
    return "0"


def _slot(twin: Twin, values: list[float]) -> None:
    """Check the slot of a self-test or calibration: all of them, one, or 11 for the mainframe."""
    twin.clear_error()
    if values and whole(values[0]) not in (0, *twin.slots, 11):
        raise FlexError(flex.CHANNEL)


@SYSTEM.command("*OPC?")
def _done(twin: Twin, values: list[float]) -> str:
    return "1"


@SYSTEM.command("*LRN?", 1)
def _learn(twin: Twin, values: list[float]) -> str:
    return learned(twin, whole(values[0]))


# ---- errors and status ----------------------------------------------------------------------------------
@SYSTEM.command("ERRX?", 0, 1)
def _next_error(twin: Twin, values: list[float]) -> str:
    twin.clear_error()
    return twin.errors.next(code_only=bool(values and whole(values[0], 0, 1)))


@SYSTEM.command("ERR?", 0, 1)
def _errors(twin: Twin, values: list[float]) -> str:
    if values:
        whole(values[0], 0, 1)
    twin.clear_error()
    return twin.errors.four()


@SYSTEM.command("EMG?", 1)
def _text(twin: Twin, values: list[float]) -> str:
    code = whole(values[0])
    if code not in ERRORS:
        raise FlexError(flex.VALUE)
    return ERRORS[code]


@SYSTEM.command("*SRE", 1)
def _enable(twin: Twin, values: list[float]) -> None:
    if not 0 <= whole(values[0]) <= 255:
        raise FlexError(flex.VALUE)
    twin.enabled = int(values[0]) & 0x3B


@SYSTEM.command("*SRE?")
def _enabled(twin: Twin, values: list[float]) -> str:
    return str(twin.enabled)


@SYSTEM.command("*STB?")
def _status(twin: Twin, values: list[float]) -> str:
    return str(twin.byte())


@SYSTEM.command("NUB?")
def _waiting(twin: Twin, values: list[float]) -> str:
    return str(twin.data_waiting())


@SYSTEM.command("BC", alone=True)
def _clear(twin: Twin, values: list[float]) -> None:
    twin.clear_data()


# ---- waiting --------------------------------------------------------------------------------------------
@SYSTEM.command("PA", 1)
def _pause(twin: Twin, values: list[float]) -> None:
    if not -_LONGEST_PAUSE_S <= values[0] <= _LONGEST_PAUSE_S:
        raise FlexError(flex.VALUE)
    twin.pass_s(max(0.0, values[0]))


@SYSTEM.command("WS", 0, 1)
def _wait(twin: Twin, values: list[float]) -> None:
    twin.wait_for_trigger()
