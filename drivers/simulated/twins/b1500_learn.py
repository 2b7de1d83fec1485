"""What ``*LRN?`` answers: the commands that would bring a B1500A to where it is.

Spellings are those seen on real instruments: no blanks, settings in the digits of their range, ``FL0`` or ``FL1``
where all channels are alike, an empty command behind each channel's ``AAD``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from drivers.simulated.twins import flex
from drivers.simulated.twins.b1500_formats import general, number
from drivers.simulated.twins.b1500_modules import current_code, voltage_code
from drivers.simulated.twins.flex import FlexError

if TYPE_CHECKING:
    from drivers.simulated.twins.b1500_setup import Staircase
    from drivers.simulated.twins.b1500_smu import Forced, Smu
    from drivers.simulated.twins.keysight_b1500 import KeysightB1500Twin

__all__ = ["learned"]


def learned(twin: KeysightB1500Twin, kind: int) -> str:
    """Return the settings of a kind.

    Raises
    ------
    FlexError
        120: there is no such kind.
    """
    if kind in twin.smus:
        smu = twin.smus[kind]
        return smu.forced.spelled(kind) if smu.on else f"CL{kind}"
    made = _KINDS.get(kind)
    if made is None:
        raise FlexError(flex.VALUE)
    return made(twin)


def _switches(twin: KeysightB1500Twin) -> str:
    on = [str(slot) for slot, smu in twin.smus.items() if smu.on]
    on += [str(channel.number) for channel in twin.generators.channels.values() if channel.on]
    return "CN" + ",".join(on) if on else "CL"


def _filters(twin: KeysightB1500Twin) -> str:
    groups = {on: [str(s) for s, smu in twin.smus.items() if smu.filter is on] for on in (False, True)}
    if not groups[True]:
        return "FL0"
    if not groups[False]:
        return "FL1"
    return f"FL0,{','.join(groups[False])};FL1,{','.join(groups[True])}"


def _general(twin: KeysightB1500Twin) -> str:
    setup, adc = twin.setup, twin.setup.adcs[0]
    # AV and AIT 0 share their numbers; a time (mode 3) cannot be told by AV: one sample is a default [K]
    averages = (
        f"{-adc.count:g}" if adc.mode == 2 else f"{adc.count if adc.mode < 2 else 1:g},{int(adc.mode == 1)}"
    )
    said = [f"TM{setup.trigger}", f"AV{averages}", f"CM{setup.calibrates:d}"]
    said.append(f"FMT{setup.style},{setup.style_mode}")
    if setup.mode is not None:
        said.append(f"MM{','.join(map(str, (setup.mode[0], *setup.mode[1])))}")
    return ";".join(said)


def _each(text: Callable[[Smu], str]) -> Callable[[KeysightB1500Twin], str]:
    return lambda twin: ";".join(text(smu) for smu in twin.smus.values())


def _code(quantity: str, range_: float) -> int:
    return voltage_code(range_) if quantity == "V" else current_code(range_)


def _limit(forced: Forced) -> str:
    return number(forced.limit, forced.limit_range)


def _stairs(source: Staircase, head: str, middle: str) -> str:
    forced = source.at_start
    span = max(forced.range, source.at_stop.range)
    ends = f"{number(forced.level, span)},{number(source.at_stop.level, span)}"
    power = "" if source.power_w is None else f",{source.power_w:.6E}"
    steps = f",{source.steps}" if middle else ""
    channel = f"{head}{source.quantity}{source.slot}{middle},{_code(source.quantity, span)}"
    return f"{channel},{ends}{steps},{_limit(forced)}{power}"


def _sweeps(twin: KeysightB1500Twin) -> str:
    setup = twin.setup
    said = [f"WM{setup.sweep_end[0]},{setup.sweep_end[1]}"]
    said.append(f"WT{','.join(f'{general(each)}' for each in setup.sweep_timing)}")
    if setup.sweep is not None:
        said.append(_stairs(setup.sweep, "W", f",{setup.sweep.mode}"))
    if setup.in_step is not None:
        said.append(_stairs(setup.in_step, "WS", ""))
    return ";".join(said)


def _samplings(twin: KeysightB1500Twin) -> str:
    setup = twin.setup
    hold_s, interval_s, count, base_s = setup.sampling
    said = [f"MSC{setup.sampling_end[0]},{setup.sampling_end[1]}"]
    said += [
        f"ML{setup.sampling_mode}",
        f"MT{general(hold_s)},{general(interval_s)},{count},{general(base_s)}",
    ]
    for slot, source in setup.sampled.items():
        base, bias = source.base, source.bias
        levels = f"{number(base.level, bias.range)},{number(bias.level, bias.range)}"
        said.append(f"M{bias.quantity}{slot},{_code(bias.quantity, bias.range)},{levels},{_limit(bias)}")
    return ";".join(said)


def _converters(twin: KeysightB1500Twin) -> str:
    said = [f"AIT{kind},{adc.mode},{general(adc.count)}" for kind, adc in twin.setup.adcs.items()]
    return ";".join([*said, f"AZ{twin.setup.auto_zero:d}"])


_KINDS: dict[int, Callable[[KeysightB1500Twin], str]] = {
    0: _switches,
    30: _filters,
    31: _general,
    32: _each(lambda smu: f"RI{smu.slot},{smu.current_code};RV{smu.slot},{smu.voltage_code}"),
    33: _sweeps,
    46: _each(lambda smu: f"CMM{smu.slot},{smu.measures}"),
    47: _samplings,
    53: _each(lambda smu: f"SSR{smu.slot},{smu.series:d}"),
    54: _each(lambda smu: f"RM{smu.slot},{smu.ranging[0]},{smu.ranging[1]}"),
    55: _each(lambda smu: f"AAD{smu.slot},{smu.adc};AAD{smu.slot},2;"),
    56: _converters,
    57: lambda twin: ";".join(f"WAT{n},{a:.1f},{b:.4f}" for n, (a, b) in twin.setup.waits.items()),
    60: lambda twin: f"TSC{twin.setup.stamps:d}",
    110: lambda twin: f"PAD{twin.setup.parallel:d}",
}
