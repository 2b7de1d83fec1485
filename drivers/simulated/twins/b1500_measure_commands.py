"""Commands of a B1500A for triggered measurements: modes, converters, sweeps, samplings, pulses, formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.simulated.twins import flex
from drivers.simulated.twins.b1500_adc import HIGH_RESOLUTION, HIGH_SPEED, TIME, Adc
from drivers.simulated.twins.b1500_formats import FORMATS
from drivers.simulated.twins.b1500_measure import MODES, measured
from drivers.simulated.twins.b1500_setup import Pulse, Sampled, Staircase
from drivers.simulated.twins.b1500_source_commands import whole
from drivers.simulated.twins.flex import FlexError, Table

if TYPE_CHECKING:
    from drivers.simulated.twins.b1500_smu import Smu
    from drivers.simulated.twins.keysight_b1500 import KeysightB1500Twin as Twin

__all__ = ["MEASURES"]

MEASURES = Table()

_STEPS = 10_001
_SAMPLES = 100_001
_SHORT_S = 0.002
"""Sampling intervals below this come in steps of 10 us (instruments §2.2)."""


def _within(value: float, low: float, high: float) -> float:
    if not low - 1e-12 <= value <= high + 1e-12:
        raise FlexError(flex.VALUE)
    return value


# ---- trigger, mode, format --------------------------------------------------------------------------------
@MEASURES.command("XE")
def _execute(twin: Twin, values: list[float]) -> None:
    twin.send(measured(twin))


@MEASURES.command("MM", 1, 11)
def _mode(twin: Twin, values: list[float]) -> None:
    mode = whole(values[0], *MODES)
    if len(values) < 2:
        raise FlexError(flex.CHANNELS)
    twin.setup.mode = (mode, tuple(twin.unit_slots(values[1:])))


@MEASURES.command("FMT", 1, 2)
def _format(twin: Twin, values: list[float]) -> None:
    style = whole(values[0], *FORMATS)
    mode = whole(values[1], *range(11)) if len(values) > 1 else 0
    twin.setup.style, twin.setup.style_mode = style, mode
    twin.clear_data()


@MEASURES.command("TM", 1)
def _trigger(twin: Twin, values: list[float]) -> None:
    twin.setup.trigger = whole(values[0], 1, 2, 3, 4)


@MEASURES.command("PAD", 1)
def _parallel(twin: Twin, values: list[float]) -> None:
    twin.setup.parallel = bool(whole(values[0], 0, 1))


@MEASURES.command("TSC", 1)
def _stamps(twin: Twin, values: list[float]) -> None:
    twin.setup.stamps = bool(whole(values[0], 0, 1))


@MEASURES.command("TSR", 0, 1)
def _timer(twin: Twin, values: list[float]) -> None:
    twin.restart_timer()


# ---- converters -------------------------------------------------------------------------------------------
@MEASURES.command("AIT", 2, 3)
def _integration(twin: Twin, values: list[float]) -> None:
    kind, mode = whole(values[0], 0, 1, 2), whole(values[1], 0, 1, 2, 3)
    if (kind == HIGH_RESOLUTION and mode == TIME) or (kind == 2 and mode < 2):
        raise FlexError(flex.VALUE)
    initial = {(HIGH_RESOLUTION, 0): 6.0, (HIGH_RESOLUTION, 1): 3.0}.get((kind, mode), 1.0)
    count = values[2] if len(values) > 2 else 2e-6 if mode == TIME else initial
    if mode == TIME:
        _within(count, 2e-6, 20e-3)
    else:
        _within(whole(count), 1, 100 if mode == 2 else 127 if kind == HIGH_RESOLUTION else 1023)
    twin.setup.adcs[kind] = Adc(kind, mode, count)


@MEASURES.command("AV", 1, 2)
def _averages(twin: Twin, values: list[float]) -> None:
    count = whole(values[0])
    mode = whole(values[1], 0, 1) if len(values) > 1 else 0
    if count > 0:
        _within(count, 1, 1023)
    else:
        _within(count, -100, -1)
        mode, count = 2, -count
    twin.setup.adcs[HIGH_SPEED] = Adc(HIGH_SPEED, mode, count)


@MEASURES.command("AZ", 1)
def _auto_zero(twin: Twin, values: list[float]) -> None:
    twin.setup.auto_zero = bool(whole(values[0], 0, 1))


@MEASURES.command("CM", 1)
def _calibrates(twin: Twin, values: list[float]) -> None:
    twin.setup.calibrates = bool(whole(values[0], 0, 1))


@MEASURES.command("WAT", 2, 3)
def _waits(twin: Twin, values: list[float]) -> None:
    kind = whole(values[0], 1, 2, 3)
    offset = _within(values[2], 0.0, 1.0) if len(values) > 2 else 0.0
    twin.setup.waits[kind] = (_within(values[1], 0.0, 10.0), offset)


# ---- staircase sweeps ---------------------------------------------------------------------------------------
def _ends(
    twin: Twin,
    smu: Smu,
    quantity: str,
    mode: int,
    code: int,
    levels: list[float],
    steps: int,
    rest: list[float],
) -> Staircase:
    start, stop = levels
    if mode in (2, 4) and start * stop <= 0:
        raise FlexError(flex.VALUE)
    limit = rest[0] if rest else None
    closed = twin.interlock_closed
    ends = [smu.checked(quantity, code, level, limit, closed=closed) for level in (start, stop)]
    return Staircase(smu.slot, mode, ends[0], ends[1], steps, rest[1] if len(rest) > 1 else None)


def _sweep(twin: Twin, quantity: str, values: list[float]) -> None:
    smu, mode = twin.smu(values[0]), whole(values[1], 1, 2, 3, 4)
    steps = int(_within(whole(values[5]), 1, _STEPS))
    code = whole(values[2])
    twin.setup.sweep = _ends(twin, smu, quantity, mode, code, values[3:5], steps, values[6:])
    twin.setup.in_step = None


def _in_step(twin: Twin, quantity: str, values: list[float]) -> None:
    primary = twin.setup.sweep
    if primary is None or primary.quantity != quantity:
        raise FlexError(flex.NO_SWEEP)
    smu, code = twin.smu(values[0]), whole(values[1])
    made = _ends(twin, smu, quantity, primary.mode, code, values[2:4], primary.steps, values[4:])
    if made.slot == primary.slot:
        raise FlexError(flex.CHANNEL)
    twin.setup.in_step = made


def _pulsed_sweep(twin: Twin, quantity: str, values: list[float]) -> None:
    smu, mode, code = twin.smu(values[0]), whole(values[1], 1, 2, 3, 4), whole(values[2])
    steps = int(_within(whole(values[6]), 1, _STEPS))
    peaks = _ends(twin, smu, quantity, mode, code, values[4:6], steps, values[7:])
    base = smu.checked(
        quantity, code, values[3], values[7] if len(values) > 7 else None, closed=twin.interlock_closed
    )
    twin.setup.pulse = Pulse(smu.slot, base, peaks)


def _pulse(twin: Twin, quantity: str, values: list[float]) -> None:
    smu, code = twin.smu(values[0]), whole(values[1])
    limit = values[4] if len(values) > 4 else None
    base, peak = (
        smu.checked(quantity, code, each, limit, closed=twin.interlock_closed) for each in values[2:4]
    )
    twin.setup.pulse = Pulse(smu.slot, base, Staircase(smu.slot, 0, peak, peak, 1))


def _sampled(twin: Twin, quantity: str, values: list[float]) -> None:
    smu, code = twin.smu(values[0]), whole(values[1])
    limit = values[4] if len(values) > 4 else None
    base, bias = (
        smu.checked(quantity, code, each, limit, closed=twin.interlock_closed) for each in values[2:4]
    )
    twin.setup.sampled[smu.slot] = Sampled(base, bias)


for _run, _head, _fewest, _most in (
    (_sweep, "W", 6, 8),
    (_in_step, "WS", 4, 6),
    (_pulsed_sweep, "PW", 7, 8),
    (_pulse, "P", 4, 5),
    (_sampled, "M", 4, 5),
):
    for _quantity in "VI":
        MEASURES.command(f"{_head}{_quantity}", _fewest, _most)(
            lambda twin, values, run=_run, quantity=_quantity: run(twin, quantity, values)  # type: ignore[misc]
        )


@MEASURES.command("WT", 2, 5)
def _timing(twin: Twin, values: list[float]) -> None:
    hold_s, delay_s, *rest = values
    step_s, trigger_s, measure_s = [*rest, *[0.0] * (3 - len(rest))]
    _within(hold_s, 0.0, 655.35)
    _within(delay_s, 0.0, 65.535)
    _within(step_s, 0.0, 1.0)
    _within(trigger_s, 0.0, delay_s)
    _within(measure_s, 0.0, 65.535)
    twin.setup.sweep_timing = (hold_s, delay_s, step_s, trigger_s, measure_s)


@MEASURES.command("WM", 1, 2)
def _sweep_end(twin: Twin, values: list[float]) -> None:
    twin.setup.sweep_end = (whole(values[0], 1, 2), whole(values[1], 1, 2) if len(values) > 1 else 1)


# ---- sampling and pulses -------------------------------------------------------------------------------------
@MEASURES.command("MT", 3, 4)
def _sampling(twin: Twin, values: list[float]) -> None:
    hold_s, interval_s, count = values[0], values[1], whole(values[2])
    base_s = _within(values[3], 0.0, 655.35) if len(values) > 3 else 0.0
    channels = max(1, len(twin.setup.channels))
    short = interval_s < _SHORT_S - 1e-12
    _within(interval_s, 100e-6 + 20e-6 * (channels - 1), 65.535)
    _within(hold_s, -0.09 if short else 0.0, 655.35)
    _within(count, 1, _SAMPLES // channels)
    step_s = 1e-5 if short else 1e-3
    twin.setup.sampling = (hold_s, round(interval_s / step_s) * step_s, count, base_s)


@MEASURES.command("ML", 1)
def _sampling_mode(twin: Twin, values: list[float]) -> None:
    twin.setup.sampling_mode = whole(values[0], *range(1, 8))


@MEASURES.command("MSC", 1, 2)
def _sampling_end(twin: Twin, values: list[float]) -> None:
    twin.setup.sampling_end = (whole(values[0], 1, 2), whole(values[1], 1, 2) if len(values) > 1 else 2)


@MEASURES.command("PT", 2, 4)
def _pulse_timing(twin: Twin, values: list[float]) -> None:
    hold_s, width_s = _within(values[0], 0.0, 655.35), _within(values[1], 5e-4, 2.0)
    period_s = values[2] if len(values) > 2 and values[2] else max(5e-3, width_s + 4e-3)
    _within(period_s, max(5e-3, width_s + 4e-3), 5.0)
    twin.setup.pulse_timing = (hold_s, width_s, period_s)
