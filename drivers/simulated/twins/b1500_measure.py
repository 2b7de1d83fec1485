"""The measurements of a B1500A: spot, staircase and pulsed sweep, sampling; what they force, wait for and send.

The order of data is that of the Programming Guide, 1-27 to 1-40: time, data of each channel in the order of MM, the
sweep's level last; a sampling's index first.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from drivers.simulated.terminals import Operating, Seen
from drivers.simulated.twins import flex
from drivers.simulated.twins.b1500_adc import PULSED
from drivers.simulated.twins.b1500_formats import LIMITED, OTHER_LIMITED, OVERFLOW, Datum
from drivers.simulated.twins.b1500_setup import Staircase
from drivers.simulated.twins.flex import FlexError

if TYPE_CHECKING:
    from drivers.simulated.twins.b1500_smu import Forced, Smu
    from drivers.simulated.twins.keysight_b1500 import KeysightB1500Twin

__all__ = ["measured"]

SPOT, STAIRCASE, PULSED_SPOT, PULSED_SWEEP, SAMPLING = 1, 2, 3, 4, 10
MODES = (SPOT, STAIRCASE, PULSED_SPOT, PULSED_SWEEP, SAMPLING)

_STOPS = OVERFLOW | LIMITED | OTHER_LIMITED
_PULSE_EDGE_S = 20e-6
"""Rise and fall of a pulse of a source-measure unit: a default [K]."""

_PER_DECADE = {2: 10, 3: 25, 4: 50, 5: 100, 6: 250, 7: 5000}


def measured(twin: KeysightB1500Twin) -> list[Datum]:
    """Measure as MM says, and return the data in the order they are sent.

    Raises
    ------
    FlexError
        Something is missing; nothing was forced.
    """
    if twin.setup.mode is None:
        raise FlexError(flex.NO_CHANNELS)
    mode = twin.setup.mode[0]
    for slot in twin.setup.channels:
        if not twin.smus[slot].on:
            raise FlexError(flex.OUTPUT_OFF, f"SLOT{slot}")
    if mode == SPOT:
        return _point(twin)
    if mode == STAIRCASE:
        return _staircase(twin)
    return _sampling(twin) if mode == SAMPLING else _pulsed(twin, swept=mode == PULSED_SWEEP)


def _point(twin: KeysightB1500Twin) -> list[Datum]:
    """Measure every channel once."""
    return [datum for slot in twin.setup.channels for datum in _channel(twin, twin.smus[slot])]


def _channel(twin: KeysightB1500Twin, smu: Smu) -> list[Datum]:
    data = []
    setup = twin.setup
    for quantity in smu.quantities():
        stamp = _stamp(twin, smu)
        datum = smu.measure(quantity, None, setup.adcs, twin.line_hz, auto_zero=setup.auto_zero)
        data += [*stamp, with_others(twin, smu, datum)]
    return data


def with_others(twin: KeysightB1500Twin, smu: Smu, datum: Datum) -> Datum:
    """Add to a reading that another channel is in compliance."""
    others = any(each.limited for each in twin.smus.values() if each is not smu)
    return replace(datum, status=datum.status | OTHER_LIMITED) if others else datum


def _stamp(twin: KeysightB1500Twin, smu: Smu) -> list[Datum]:
    return [Datum("T", twin.timer_s(), 1.0, smu.slot)] if twin.setup.stamps else []


# ---- staircase sweep ------------------------------------------------------------------------------------
def _staircase(twin: KeysightB1500Twin) -> list[Datum]:
    setup = twin.setup
    if setup.sweep is None:
        raise FlexError(flex.NO_SWEEP)
    sources = [each for each in (setup.sweep, setup.in_step) if each is not None]
    for each in sources:
        if not twin.smus[each.slot].on:
            raise FlexError(flex.OUTPUT_OFF, f"SLOT{each.slot}")
    hold_s, delay_s, step_s, *_ = setup.sweep_timing
    levels = [_levels(each, setup.sweep) for each in sources]
    count = len(levels[0])
    data: list[Datum] = []
    stopped = False
    for step in range(count):
        if stopped:
            data += _dummies(twin)
        else:
            for source, values in zip(sources, levels, strict=True):
                twin.smus[source.slot].force(source.forced(float(values[step])))
            twin.bench.pass_s((hold_s if step == 0 else 0.0) + delay_s)
            began_ns = twin.bench.now_ns
            point = _point(twin)
            data += point
            twin.bench.pass_s(max(0.0, step_s - (twin.bench.now_ns - began_ns) * 1e-9))
            stopped = setup.sweep_end[0] == 2 and any(datum.status & _STOPS for datum in point)
        if setup.style_mode:
            told = min(setup.style_mode, len(sources)) - 1
            data.append(_level(sources[told], float(levels[told][step]), last=step == count - 1))
    at_stop = setup.sweep_end[1] == 2 and not stopped
    for source in sources:
        end = source.at_stop if at_stop else source.at_start
        twin.smus[source.slot].force(source.forced(end.level))
    return data


def _levels(source: Staircase, primary: Staircase) -> np.ndarray:
    return replace(source, mode=primary.mode, steps=primary.steps).levels()


def _level(source: Staircase, level: float, *, last: bool) -> Datum:
    span = source.forced(level).range
    return Datum(source.quantity, level, span, source.slot, source=True, last=last)


def _dummies(twin: KeysightB1500Twin) -> list[Datum]:
    """Return the data of a step behind an abort: 199.999E+99."""
    data = []
    for slot in twin.setup.channels:
        smu = twin.smus[slot]
        for quantity in smu.quantities():
            span = smu.kind.most_a if quantity == "I" else smu.kind.voltages_v[-1]
            data += [*_stamp(twin, smu), Datum(quantity, None, span, slot, status=OVERFLOW)]
    return data


# ---- sampling -------------------------------------------------------------------------------------------
def _sampling(twin: KeysightB1500Twin) -> list[Datum]:
    setup = twin.setup
    hold_s, interval_s, count, base_s = setup.sampling
    for slot in setup.sampled:
        if not twin.smus[slot].on:
            raise FlexError(flex.OUTPUT_OFF, f"SLOT{slot}")
    for slot, source in setup.sampled.items():
        twin.smus[slot].force(source.base)
    for slot in setup.channels:
        smu = twin.smus[slot]
        if len(smu.quantities()) == 1:
            smu.take_fixed_range(smu.quantities())
    twin.bench.pass_s(base_s)
    for slot, source in setup.sampled.items():
        twin.smus[slot].force(source.bias)
    start_ns = twin.bench.now_ns + round(
        hold_s * 1e9
    )  # a sample before the step is not taken: there is no past
    data: list[Datum] = []
    for index in range(1, count + 1):
        late_ns = twin.bench.now_ns - (
            start_ns + round(_moment(setup.sampling_mode, index, interval_s) * 1e9)
        )
        if late_ns > 0 and index > 1:
            continue  # the last measurement took longer than the interval: this index is left out
        twin.bench.pass_s(max(0.0, -late_ns * 1e-9))
        point = _point(twin)
        if setup.style_mode:
            data.append(Datum("X", float(index), 1.0, 0))
        data += point
        if setup.sampling_end[0] == 2 and any(datum.status & _STOPS for datum in point):
            break
    for slot, source in setup.sampled.items():
        twin.smus[slot].force(source.base if setup.sampling_end[1] == 1 else source.bias)
    return data


def _moment(mode: int, index: int, interval_s: float) -> float:
    """Return when a sample is due, seconds after the first."""
    if mode == 1:
        return (index - 1) * interval_s
    decades = (index - 1) / _PER_DECADE[mode]
    return interval_s * (math.pow(10.0, decades) - 1.0)


# ---- pulses ---------------------------------------------------------------------------------------------
def _pulsed(twin: KeysightB1500Twin, *, swept: bool) -> list[Datum]:
    setup = twin.setup
    pulse = setup.pulse
    if pulse is None or swept is not (pulse.peaks.steps > 1 or pulse.peaks.mode > 0):
        raise FlexError(flex.NO_PULSE)
    if setup.pulse_timing is None:
        raise FlexError(flex.NO_PULSE_TIME)
    if len(setup.channels) != 1:
        raise FlexError(flex.CHANNELS)
    source = twin.smus[pulse.slot]
    if not source.on:
        raise FlexError(flex.OUTPUT_OFF, f"SLOT{pulse.slot}")
    hold_s, width_s, period_s = setup.pulse_timing
    source.force(pulse.base)
    twin.bench.pass_s(hold_s)
    data: list[Datum] = []
    levels = pulse.peaks.levels()
    for step, level in enumerate(levels):
        began_ns = twin.bench.now_ns
        data += _one_pulse(twin, source, pulse.base, pulse.peaks.forced(float(level)), width_s)
        twin.bench.pass_s(max(0.0, period_s - (twin.bench.now_ns - began_ns) * 1e-9))
        if setup.style_mode and swept:
            data.append(_level(pulse.peaks, float(level), last=step == len(levels) - 1))
    return data


def _one_pulse(
    twin: KeysightB1500Twin, source: Smu, base: Forced, peak: Forced, width_s: float
) -> list[Datum]:
    """Give a pulse and measure at the end of its top."""
    reader = twin.smus[twin.setup.channels[0]]
    stamp = _stamp(twin, reader)
    adc = twin.setup.adcs[PULSED]
    aperture_s = min(adc.aperture_s(1.0, twin.line_hz, auto_zero=False), width_s / 2)
    if base.quantity == "I":  # the bench plays voltages only: a pulse of current has edges of no time
        source.force(peak)
        twin.bench.pass_s(width_s - aperture_s)
        point = reader.terminal.look(aperture_s)
        source.force(base)
    else:
        seen = source.pulsed(base, peak, width_s, _PULSE_EDGE_S)
        trace = seen if reader is source else reader.terminal.trace()
        point = reader.terminal.look() if trace is None else _mean(trace, width_s - aperture_s, width_s)
    data = []
    for quantity in reader.quantities():
        span = reader.pulse_range(quantity, peak if reader is source else reader.forced)
        datum = reader.reading(quantity, span, point, adc, aperture_s)
        data += [*stamp, with_others(twin, reader, datum)]
    return data


def _mean(trace: Seen, start_s: float, stop_s: float) -> Operating:
    """Return the mean operating point of a stretch of a trace."""
    times = np.linspace(start_s, stop_s, 21)
    volts = float(np.mean(np.interp(times, trace.t_s, trace.voltage_v)))
    amperes = float(np.mean(np.interp(times, trace.t_s, trace.current_a)))
    inside = (trace.t_s >= start_s) & (trace.t_s <= stop_s)
    return Operating(volts, amperes, limited=bool(trace.limited[inside].any()))
