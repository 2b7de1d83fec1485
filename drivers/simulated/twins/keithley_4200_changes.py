"""What each command of a simulated 4225-PMU sets on its channel; -969 for what no channel can be set to."""

from __future__ import annotations

import numpy as np

from drivers.simulated.twins.keithley_4200_pulses import PulseChannel
from drivers.simulated.twins.kxci_errors import KxciError

__all__ = [
    "acquire", "connection", "llec", "load", "margins", "measure_range", "retain", "source_range", "spot", "step",
    "sweep", "train",
]  # fmt: skip


def _flag(value: float) -> bool:
    if value not in (0.0, 1.0):
        raise KxciError(-969)
    return value == 1.0


def source_range(channel: PulseChannel, values: list[float]) -> None:
    """Set the source range, 10 or 40 V."""
    if values[0] not in (10.0, 40.0):
        raise KxciError(-969)
    channel.source_v = values[0]


def measure_range(channel: PulseChannel, values: list[float]) -> None:
    """Set how the current range is found, and which it is."""
    if values[0] not in (0.0, 1.0, 2.0) or (values[0] and len(values) < 2):
        raise KxciError(-969)
    channel.range_type = int(values[0])
    if len(values) > 1:
        if values[1] <= 0.0:
            raise KxciError(-969)
        channel.range_a = values[1]


def acquire(channel: PulseChannel, values: list[float]) -> None:
    """Set whether amplitude and base are measured."""
    channel.acquire = (_flag(values[0]), _flag(values[1]))


def spot(channel: PulseChannel, values: list[float]) -> None:
    """Set which part of amplitude and base a spot mean is taken of."""
    if not 0.0 <= values[0] < values[1] <= 1.0:
        raise KxciError(-969)
    channel.spot = (values[0], values[1])


def margins(channel: PulseChannel, values: list[float]) -> None:
    """Set how much around a pulse its waveform has, in widths."""
    if min(values) < 0.0:
        raise KxciError(-969)
    channel.margins = (values[0], values[1])


def load(channel: PulseChannel, values: list[float]) -> None:
    """Set what the device is taken for, Ohm."""
    if not 1.0 <= values[0] <= 1e7:
        raise KxciError(-969)
    channel.load_ohm = values[0]


def llec(channel: PulseChannel, values: list[float]) -> None:
    """Switch load-line effect compensation."""
    channel.llec = _flag(values[0])


def retain(channel: PulseChannel, values: list[float]) -> None:
    """Set whether the set-up outlives its execution."""
    channel.retain = _flag(values[0])


def connection(channel: PulseChannel, values: list[float]) -> None:
    """Compensation of cables: the cables of a simulated bench have none to compensate."""
    if values[0] not in (0.0, 1.0, 2.0):
        raise KxciError(-969)
    _flag(values[1])


def train(channel: PulseChannel, values: list[float]) -> None:
    """Set base and amplitude."""
    channel.base_v, channel.amplitude_v = values
    channel.sweep = []


def _levels(start: float, stop: float, step: float, base: float) -> list[tuple[float, float]]:
    if step == 0.0:
        raise KxciError(-969)
    count = int(abs(stop - start) / abs(step) + 1e-6) + 1
    if count > 65_536:
        raise KxciError(-949)
    return [(base, float(each)) for each in start + np.copysign(abs(step), stop - start) * np.arange(count)]


def sweep(channel: PulseChannel, values: list[float]) -> None:
    """Set a sweep of the amplitude: start, stop, step, base, and back again."""
    start, stop, step, base, *dual = values
    found = _levels(start, stop, step, base)
    channel.sweep = found + found[-2::-1] if dual and _flag(dual[0]) else found
    channel.base_v = base


def step(channel: PulseChannel, values: list[float]) -> None:
    """Set steps of the amplitude: start, stop, step, base."""
    start, stop, step, base = values
    channel.step = _levels(start, stop, step, base)
    channel.base_v = base
