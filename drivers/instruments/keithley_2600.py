"""Keithley 2600B System SourceMeters, by TSP (instruments §2.1).

::

    with Keithley2600.open("TCPIP0::192.168.0.5::5025::SOCKET") as smu:
        iv = smu.a.sweep(np.linspace(0, 1, 1001), aperture_s=1e-3, limit_a=1e-4)
        iv.current_a[~iv.limited]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from drivers.chip import BoardError, Identity
from drivers.errors import InstrumentError, InterlockOpen
from drivers.instruments.keithley_2600_channel import Smu
from drivers.instruments.keithley_2600_models import abilities
from drivers.message_link import MessageLink
from drivers.tsp_instrument import TspInstrument

__all__ = ["Keithley2600"]

BLOCKED = 802
"""Code of an output that the interlock or output-enable line keeps off (instruments §2.1)."""

_SWEEP_OVER = 0x80
"""OSB of the status byte: a sweep is over, as :meth:`Keithley2600.run_sweep` has set it up."""


class Keithley2600(TspInstrument):
    """A 2601B .. 2636B, or one of the 2600A; ``a`` and ``b`` are its channels.

    Attributes
    ----------
    abilities : Abilities
        Ranges and limits of the model.
    capacity : int
        Readings a sweep may have.
    line_hz : float
        Power line frequency, which apertures are multiples of.
    """

    models: ClassVar[tuple[str, ...]] = (
        "2601",
        "2602",
        "2604",
        "2611",
        "2612",
        "2614",
        "2634",
        "2635",
        "2636",
    )

    def __init__(
        self,
        link: MessageLink,
        *,
        identity: Identity | None = None,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        super().__init__(link, identity=identity, pause=pause)
        self.abilities = abilities(self._identity.model)
        line_hz, capacity = self.ask_numbers("localnode.linefreq", "smua.nvbuffer1.capacity")
        self.line_hz, self.capacity = line_hz, int(capacity)
        self._channels = {letter: Smu(self, letter) for letter in self.abilities.channels}

    @property
    def a(self) -> Smu:
        """Channel A."""
        return self._channels["a"]

    @property
    def b(self) -> Smu:
        """Channel B; KeyError with models that have one channel."""
        return self._channels["b"]

    def parts(self) -> Mapping[str, Smu]:
        """Return the channels by their letters."""
        return self._channels

    def failure(self, found: list[BoardError]) -> InstrumentError:
        """Return InterlockOpen where an output was blocked, InstrumentError otherwise."""
        if any(error.code == BLOCKED for error in found):
            return InterlockOpen(
                f"{self!r} keeps an output off: {'; '.join(map(str, found))}; close the lid of the fixture and check "
                "the cable of the interlock, or stay below the voltage that needs it",
                errors=tuple(found),
            )
        return super().failure(found)

    def run_sweep(self, letter: str, setup: list[str], *, expected_s: float, allowed_s: float) -> None:
        """Run a sweep of a channel's trigger model from its first trigger to its end.

        Parameters
        ----------
        letter : str
            Channel.
        setup : list of str
            Lines of Lua that prepare it; nothing starts where the instrument refuses one.
        expected_s, allowed_s : float
            How long it should take, and how long it may beyond the link's time-out.

        Raises
        ------
        InstrumentError, InterlockOpen
            It did not start.
        LinkTimeout
            It does not end; it was aborted.
        """
        smu = f"smu{letter}"
        start = [
            f"if errorqueue.count == 0 then {smu}.source.output = {smu}.OUTPUT_ON end",
            f"if errorqueue.count == 0 then {smu}.trigger.initiate() end",
        ]
        with self._mine:
            self.check()
            try:
                self.tell_lines([*setup, *(self._announced(letter) if self.has_serial_poll else []), *start])
            except InstrumentError:
                self.link.write(f"{smu}.source.levelv = 0 {smu}.source.leveli = 0")
                self.errors()
                raise
            try:
                self.wait_until(
                    self._swept if self.has_serial_poll else lambda: not self._sweeping(letter),
                    expected_s=expected_s,
                    allowed_s=allowed_s + self.link.timeout_s,
                )
            except BaseException:
                self.safe()
                raise

    def _announced(self, letter: str) -> list[str]:
        """Return lines after which OSB of the status byte says that the sweep is over."""
        sweeping, bit = "status.operation.sweeping", f"status.operation.sweeping.SMU{letter.upper()}"
        return [
            f"{sweeping}.ptr = 0 {sweeping}.ntr = {bit} {sweeping}.enable = {bit}",
            "status.operation.enable = status.operation.SWEEPING status.operation.ptr = status.operation.SWEEPING",
            f"labkit_events = {sweeping}.event + status.operation.event labkit_events = nil",
        ]

    def _swept(self) -> bool:
        return bool(self.link.status_byte() & _SWEEP_OVER)

    def _sweeping(self, letter: str) -> bool:
        """Ask whether a channel's trigger model is busy: a question the instrument answers at once."""
        (condition,) = self.ask_numbers("status.operation.sweeping.condition")
        return bool(int(condition) & 2 << "ab".index(letter))

    def reset(self) -> None:
        """Reset the whole instrument to its defaults; outputs go off."""
        self.tell("reset()")

    def make_safe(self) -> None:
        """Bring every output to 0 V, then off; may raise."""
        lines = [
            f"smu{letter}.abort() smu{letter}.source.levelv = 0 smu{letter}.source.leveli = 0 "
            f"smu{letter}.source.output = smu{letter}.OUTPUT_OFF"
            for letter in self._channels
        ]
        self.link.write("\n".join(lines))
        self.check()
