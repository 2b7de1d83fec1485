"""The Keysight B1500A semiconductor analyzer over FLEX: source-measure units, pulse generators, and itself.

Measured data come back in 8-byte words whose number is known beforehand, one read per measurement. EasyEXPERT must be
closed; its starter may run (instruments §2.2).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

from drivers.chip import Identity
from drivers.errors import InstrumentError, LinkTimeout, MalformedAnswer
from drivers.instruments.keysight_b1500_flex import ERROR, INTERLOCK, FlexInstrument
from drivers.instruments.keysight_b1500_formats import spell
from drivers.instruments.keysight_b1500_modules import SMU_KINDS, SPGU, Module, modules_of
from drivers.instruments.keysight_b1500_smu import SmuChannel
from drivers.instruments.keysight_b1500_spgu import SpguChannel
from drivers.message_link import MessageLink
from drivers.properties import Part, choice, switch

__all__ = ["KeysightB1500"]

_CALIBRATION_S = 60.0
_LEARNED = (0, 30, 31, 32, 33, 46, 47, 53, 54, 55, 56, 60, 110)


class KeysightB1500(FlexInstrument):
    """A B1500A; its channels are named by slot: ``"1"`` a source-measure unit, ``"501"`` a pulse generator.

    Parameters
    ----------
    link : MessageLink
    identity : Identity, optional
    line_hz : float
        Frequency of the power line, hertz: apertures beyond 20 ms are counted in its cycles.
    read_back, pause
        As of :class:`~drivers.instruments.keysight_b1500_flex.FlexInstrument`.

    Attributes
    ----------
    modules : dict of int to Module
        What is in the slots.
    smus, pulsers : dict of str to SmuChannel, SpguChannel
        Channels by name.
    """

    models: ClassVar[tuple[str, ...]] = ("B1500A",)
    auto_calibration = switch(
        "*LRN? 31|CM",
        "CM {}",
        "Control self-calibration every 30 minutes with all outputs off, which stalls whatever comes then.",
    )
    auto_zero = switch(
        "*LRN? 56|AZ",
        "AZ {}",
        "Control the zeroing of the high-resolution converter, which doubles its time.",
    )
    parallel = switch("*LRN? 110|PAD", "PAD {}", "Control measuring with several channels at once.")
    io_control = choice(
        "ERMOD?",
        "ERMOD {}",
        "Control what the digital port is for.",
        {"general": "0", "selector": "1", "module-selector": "2"},
    )

    def __init__(
        self,
        link: MessageLink,
        *,
        identity: Identity | None = None,
        line_hz: float = 50.0,
        read_back: Literal["8-byte", "4-byte"] = "8-byte",
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self.line_hz = float(line_hz)
        super().__init__(link, identity=identity, read_back=read_back, pause=pause)
        self.modules: dict[int, Module] = modules_of(link.query("UNT?"))
        self.smus = {
            str(slot): SmuChannel(self, slot, SMU_KINDS[module.model])
            for slot, module in self.modules.items()
            if module.model in SMU_KINDS
        }
        self.pulsers = {
            f"{slot}{sub:02d}": SpguChannel(self, slot * 100 + sub)
            for slot, module in self.modules.items()
            if module.model == SPGU
            for sub in (1, 2)
        }
        # error and interlock are unmasked, or a serial poll does not clear them (Programming Guide 1-57)
        self.tell(f"*SRE {ERROR + INTERLOCK};CM 0")

    def parts(self) -> Mapping[str, Part]:
        """Return the channels, by name."""
        return {**self.smus, **self.pulsers}

    def snapshot(self) -> dict[str, Any]:
        """Return identity, modules, all settings, and the commands that would bring them back."""
        kinds = [*_LEARNED, *(each.slot for each in self.smus.values())]
        return {
            **super().snapshot(),
            "modules": {slot: module.model for slot, module in self.modules.items()},
            "learned": {kind: self.learn(kind) for kind in kinds},
        }

    # ---- pulses -------------------------------------------------------------------------------------------
    def pulse_mode(self) -> list[str]:
        """Return the commands that make the generators give pulses: none where they do already."""
        return [] if self.link.query("SIM?").strip() == "0" else ["SIM 0"]

    def fire(self, levels: Mapping[SpguChannel, float], count: int = 1) -> None:
        """Give pulses on several channels at once, the others at 0 V; returns when they are over.

        Parameters
        ----------
        levels : mapping of SpguChannel to float
            Volt into an open circuit; the shapes are those prepared, the period is shared.
        count : int
            Pulses.

        Raises
        ------
        SettingOutOfRange, InstrumentError, LinkError
        """
        armed = [command for channel, open_v in levels.items() for command in channel.armed(open_v, count)]
        periods = {channel.shape.period_s for channel in levels if channel.shape is not None}
        others = [channel for channel in self.pulsers.values() if channel not in levels]
        quiet = [command for channel in others for command in channel.quiet()]
        period_s = max(periods)
        with self._mine:
            self.tell_all([f"SPRM 1,{count}", f"SPPER {spell(period_s)}", *quiet, *armed])
            self.tell("SRP")
            deadline = time.monotonic() + count * period_s + self.link.timeout_s
            while self.count("SPST?"):
                if time.monotonic() > deadline:
                    raise LinkTimeout(
                        f"{self!r} still gives pulses {self.link.timeout_s:g} s after they should be over: stop them "
                        "with make_safe()",
                        address=self.link.address,
                        timeout_s=count * period_s + self.link.timeout_s,
                    )
                self.pause(min(max(count * period_s / 10, 1e-3), 0.1))

    def connect_selector(self, port: int, to: Literal["open", "smu", "pgu", "pgu-open"]) -> None:
        """Connect an output of the 16440A selector (0 to 3) to its source-measure unit or pulse generator."""
        status = {"open": 0, "smu": 1, "pgu": 2, "pgu-open": 3}[to]
        self.tell_all(["ERMOD 1", f"ERSSP {port},{status}"])

    # ---- itself -------------------------------------------------------------------------------------------
    def self_calibrate(self) -> tuple[str, ...]:
        """Run the self-calibration, all outputs open, and return what failed: slots, or "mainframe"."""
        return self._failed("*CAL?")

    def self_test(self) -> bool:
        """Run the self-test, which resets the instrument.

        Raises
        ------
        InstrumentError
            A module failed.
        """
        failed = self._failed("*TST?")
        self.tell(f"*SRE {ERROR + INTERLOCK};CM 0")
        if failed:
            raise InstrumentError(
                f"the self-test of {self!r} failed: {', '.join(failed)}; do not trust these channels before they are "
                "serviced"
            )
        return True

    def _failed(self, query: str) -> tuple[str, ...]:
        with self._mine:
            reply = self.link.query(query, timeout_s=max(_CALIBRATION_S, self.link.timeout_s))
            self.check()
        try:
            bits = int(reply)
        except ValueError:
            raise MalformedAnswer(
                f"{self!r} answered {reply[:40]!r} to {query}: no number; repeat it",
                address=self.link.address,
            ) from None
        slots = tuple(str(slot) for slot in range(1, 11) if bits & 1 << (slot - 1))
        return (*slots, "mainframe") if bits & 1024 else slots

    def reset(self) -> None:
        """Reset to initial settings, all outputs off; self-calibration stays off."""
        self.tell(f"*RST;*SRE {ERROR + INTERLOCK};CM 0")

    def abort(self) -> None:
        """Abort what runs; channels go on forcing."""
        self.tell("AB")

    def make_safe(self) -> None:
        """Stop pulses, bring every channel to 0 V and open all output switches; may raise."""
        with self.together():
            self.tell("AB")
            if self.pulsers:
                self.tell("SPP")
            self.tell("DZ")
            self.tell("CL")
