"""Commands of a B1500A for its source-measure units: switches, sources, spot measurements, ranges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.simulated.twins import flex
from drivers.simulated.twins.b1500_formats import Datum
from drivers.simulated.twins.b1500_measure import with_others
from drivers.simulated.twins.b1500_modules import current_range_a, voltage_range_v
from drivers.simulated.twins.flex import FlexError, Table

if TYPE_CHECKING:
    from drivers.simulated.twins.b1500_smu import Forced, Smu
    from drivers.simulated.twins.keysight_b1500 import KeysightB1500Twin as Twin

__all__ = ["SOURCES", "whole"]

SOURCES = Table()
_CHANNELS = 15


def whole(value: float, *allowed: int) -> int:
    """Return a number that must be an integer, one of `allowed` where there are any; FlexError 120 otherwise."""
    if value != int(value) or (allowed and int(value) not in allowed):
        raise FlexError(flex.VALUE)
    return int(value)


# ---- switches -------------------------------------------------------------------------------------------
@SOURCES.command("CN", 0, _CHANNELS)
def _close(twin: Twin, values: list[float]) -> None:
    for channel in twin.outputs(values):
        channel.switch(True)


@SOURCES.command("CL", 0, _CHANNELS)
def _open(twin: Twin, values: list[float]) -> None:
    twin.generators.stop()
    for channel in twin.outputs(values):
        channel.switch(False)


@SOURCES.command("DZ", 0, _CHANNELS)
def _zero(twin: Twin, values: list[float]) -> None:
    for smu in _units(twin, values):
        smu.zero()
    for number in twin.generator_numbers(values):
        twin.generators.channels[number].rest(0.0)


@SOURCES.command("RZ", 0, _CHANNELS)
def _restore(twin: Twin, values: list[float]) -> None:
    for smu in _units(twin, values, zeroed=True):
        smu.restore()


def _units(twin: Twin, values: list[float], *, zeroed: bool = False) -> list[Smu]:
    """Return the units named, or all that are on (and zeroed)."""
    if values:
        return [twin.smus[slot] for slot in twin.unit_slots(values)]
    return [smu for smu in twin.smus.values() if smu.on and (smu.kept is not None or not zeroed)]


# ---- sources --------------------------------------------------------------------------------------------
@SOURCES.command("DV", 3, 6)
def _volts(twin: Twin, values: list[float]) -> None:
    smu, forced = _asked(twin, "V", values)
    smu.force(forced)
    twin.pass_s(twin.source_wait_s())


@SOURCES.command("DI", 3, 6)
def _amperes(twin: Twin, values: list[float]) -> None:
    smu, forced = _asked(twin, "I", values)
    smu.force(forced)
    twin.pass_s(twin.source_wait_s())


def _asked(twin: Twin, quantity: str, values: list[float]) -> tuple[Smu, Forced]:
    smu = twin.smu(values[0])
    limit = values[3] if len(values) > 3 else None
    polarity, limit_code = (whole(each) for each in [*values[4:], *[0] * (6 - max(4, len(values)))])
    forced = smu.checked(
        quantity,
        whole(values[1]),
        values[2],
        limit,
        polarity=polarity,
        limit_code=limit_code,
        closed=twin.interlock_closed,
    )
    return smu, forced


# ---- high-speed spot ------------------------------------------------------------------------------------
def _spot(twin: Twin, values: list[float], quantities: str, *, stamped: bool) -> None:
    smu = twin.smu(values[0])
    codes: list[int | None] = [whole(each) for each in values[1:]]
    if codes and len(codes) != len(quantities):
        raise FlexError(flex.COUNT)
    setup = twin.setup
    data = [Datum("T", twin.timer_s(), 1.0, smu.slot)] if stamped else []
    for quantity, code in zip(quantities, codes or [None] * len(quantities), strict=True):
        found = smu.measure(quantity, code, setup.adcs, twin.line_hz, auto_zero=setup.auto_zero)
        data.append(with_others(twin, smu, found))
    twin.send(data)


for _name, _what in {"TI": "I", "TV": "V", "TIV": "IV"}.items():
    SOURCES.command(_name, 1, 1 + len(_what))(
        lambda twin, values, what=_what: _spot(twin, values, what, stamped=False)  # type: ignore[misc]
    )
    SOURCES.command(f"T{_name}", 1, 1 + len(_what))(
        lambda twin, values, what=_what: _spot(twin, values, what, stamped=True)  # type: ignore[misc]
    )


# ---- how a channel measures -----------------------------------------------------------------------------
@SOURCES.command("RI", 2)
def _current_range(twin: Twin, values: list[float]) -> None:
    smu, code = twin.smu(values[0]), whole(values[1])
    if code:
        smu.kind.current_a(-abs(code), current_range_a(code))
    smu.current_code = code


@SOURCES.command("RV", 2)
def _voltage_range(twin: Twin, values: list[float]) -> None:
    smu, code = twin.smu(values[0]), whole(values[1])
    if code:
        smu.kind.voltage_v(-abs(code), voltage_range_v(code))
    smu.voltage_code = code


@SOURCES.command("RM", 2, 3)
def _ranging(twin: Twin, values: list[float]) -> None:
    smu, mode = twin.smu(values[0]), whole(values[1], 1, 2, 3)
    rate = whole(values[2]) if len(values) > 2 else 50
    if not 11 <= rate <= 100:
        raise FlexError(flex.VALUE)
    smu.ranging = (mode, rate)


@SOURCES.command("AAD", 2)
def _converter(twin: Twin, values: list[float]) -> None:
    kind = whole(values[1], 0, 1, 2)
    if kind != 2:  # 2 is the converter of pulses, which is always that
        twin.smu(values[0]).adc = kind


@SOURCES.command("CMM", 2)
def _measures(twin: Twin, values: list[float]) -> None:
    twin.smu(values[0]).measures = whole(values[1], *range(5))


@SOURCES.command("SSR", 2)
def _series(twin: Twin, values: list[float]) -> None:
    smu = twin.smu(values[0])
    smu.series = bool(whole(values[1], 0, 1))
    smu.present()


@SOURCES.command("FL", 1, 1 + _CHANNELS)
def _filter(twin: Twin, values: list[float]) -> None:
    on = bool(whole(values[0], 0, 1))
    named = [twin.smu(each) for each in values[1:]] or list(twin.smus.values())
    for smu in named:
        smu.filter = on
