"""Commands of a B1500A for its pulse generators and the selector behind them (instruments §2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.simulated.twins import flex
from drivers.simulated.twins.b1500_formats import general
from drivers.simulated.twins.b1500_source_commands import whole
from drivers.simulated.twins.b1500_spgu import LOAD_OHM, Timing
from drivers.simulated.twins.flex import FlexError, Table

if TYPE_CHECKING:
    from drivers.simulated.twins.keysight_b1500 import KeysightB1500Twin as Twin

__all__ = ["PULSES"]

PULSES = Table()

_SELECTOR = 1
_CONTROLS = (0, 1, 2, 4, 8, 16, 32)


@PULSES.command("SIM", 1)
def _operation(twin: Twin, values: list[float]) -> None:
    twin.generators.operate(whole(values[0]))


@PULSES.command("SIM?")
def _operation_asked(twin: Twin, values: list[float]) -> str:
    return str(twin.generators.operation)


@PULSES.command("SPRM", 1, 2)
def _output(twin: Twin, values: list[float]) -> None:
    twin.generators.limit(whole(values[0]), values[1] if len(values) > 1 else None)


@PULSES.command("SPRM?")
def _output_asked(twin: Twin, values: list[float]) -> str:
    mode, condition = twin.generators.output
    return f"{mode},{general(condition) if mode else ''}"


@PULSES.command("SPPER", 1)
def _period(twin: Twin, values: list[float]) -> None:
    twin.generators.set_period(values[0])


@PULSES.command("SPPER?")
def _period_asked(twin: Twin, values: list[float]) -> str:
    return general(twin.generators.period_s)


@PULSES.command("SPM", 2)
def _mode(twin: Twin, values: list[float]) -> None:
    _pulse_mode(twin)
    twin.generator(values[0]).mode = whole(values[1], 0, 1, 2, 3)


@PULSES.command("SPM?", 1)
def _mode_asked(twin: Twin, values: list[float]) -> str:
    return str(twin.generator(values[0]).mode)


@PULSES.command("SPT", 5, 6)
def _timing(twin: Twin, values: list[float]) -> None:
    _pulse_mode(twin)
    channel, source = twin.generator(values[0]), whole(values[1], 1, 2)
    made = Timing(values[2], values[3], values[4], values[-1])
    made.check(10.0)  # against the period only when it starts: SPT and SPPER come in any order
    channel.timing[source] = made


@PULSES.command("SPT?", 2)
def _timing_asked(twin: Twin, values: list[float]) -> str:
    made = twin.generator(values[0]).timing[whole(values[1], 1, 2)]
    return ",".join(map(general, (made.delay_s, made.width_s, made.rise_s, made.fall_s)))


@PULSES.command("SPV", 3, 4)
def _levels(twin: Twin, values: list[float]) -> None:
    _pulse_mode(twin)
    channel, source = twin.generator(values[0]), whole(values[1], 0, 1, 2)
    base_v, peak_v = values[2], values[3] if len(values) > 3 else 0.0
    channel.check(base_v, peak_v)
    channel.base_v[source], channel.peak_v[source] = base_v, peak_v


@PULSES.command("SPV?", 2)
def _levels_asked(twin: Twin, values: list[float]) -> str:
    channel, source = twin.generator(values[0]), whole(values[1], 0, 1, 2)
    return f"{general(channel.base_v[source])},{general(channel.peak_v[source])}"


def _pulse_mode(twin: Twin) -> None:
    if twin.generators.operation != 0:
        raise FlexError(flex.FOREIGN)


@PULSES.command("SER", 2)
def _load(twin: Twin, values: list[float]) -> None:
    channel = twin.generator(values[0])
    if not LOAD_OHM[0] <= values[1] <= LOAD_OHM[1]:
        raise FlexError(flex.VALUE)
    before, channel.load_ohm = channel.load_ohm, values[1]
    try:
        channel.check(*channel.base_v.values(), *channel.peak_v.values())
    except FlexError:
        channel.load_ohm = before
        raise


@PULSES.command("SER?", 1)
def _load_asked(twin: Twin, values: list[float]) -> str:
    return general(twin.generator(values[0]).load_ohm)


@PULSES.command("SPUPD", 1, 10)
def _apply(twin: Twin, values: list[float]) -> None:
    for each in values:
        twin.generator(each).rest()


@PULSES.command("SRP")
def _start(twin: Twin, values: list[float]) -> None:
    twin.generators.start()


@PULSES.command("SPP")
def _stop(twin: Twin, values: list[float]) -> None:
    twin.generators.stop()


@PULSES.command("SPST?")
def _running(twin: Twin, values: list[float]) -> str:
    return str(int(twin.generators.running))


# ---- the selector 16440A --------------------------------------------------------------------------------
@PULSES.command("ERMOD", 1)
def _control(twin: Twin, values: list[float]) -> None:
    twin.setup.io_control = whole(values[0], *_CONTROLS)


@PULSES.command("ERMOD?")
def _control_asked(twin: Twin, values: list[float]) -> str:
    return str(twin.setup.io_control)


@PULSES.command("ERSSP", 2)
def _select(twin: Twin, values: list[float]) -> None:
    if twin.setup.io_control != _SELECTOR:
        raise FlexError(flex.FOREIGN)
    twin.setup.selector[whole(values[0], 0, 1, 2, 3)] = whole(values[1], 0, 1, 2, 3)


@PULSES.command("ERSSP?", 1)
def _selected(twin: Twin, values: list[float]) -> str:
    return str(twin.setup.selector[whole(values[0], 0, 1, 2, 3)])
