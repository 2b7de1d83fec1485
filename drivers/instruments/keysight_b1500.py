"""The Keysight B1500A semiconductor analyzer over FLEX: source-measure units, pulse generators, and itself.

FLEX is no SCPI: it has no ``*CLS``, no ``SYST:ERR?``, and the status byte has a layout of its own (bit 0 data, bit 3
interlock, bit 4 idle, bit 5 error). Measured data are read without being asked for, in 8-byte words whose number is
known beforehand. EasyEXPERT must be closed; its starter may run (instruments §2.2).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from drivers.chip import BoardError, Identity
from drivers.errors import InstrumentError, InterlockOpen, LinkTimeout, MalformedAnswer
from drivers.instrument import Instrument
from drivers.instruments.keysight_b1500_formats import Words, parse_eight, parse_four, spell
from drivers.instruments.keysight_b1500_learn import field
from drivers.instruments.keysight_b1500_modules import SMU_KINDS, SPGU, Module, modules_of
from drivers.instruments.keysight_b1500_smu import SmuChannel
from drivers.instruments.keysight_b1500_spgu import SpguChannel
from drivers.message_link import MessageLink
from drivers.properties import Part, choice, switch

__all__ = ["KeysightB1500"]

DATA_READY, WAITING, INTERLOCK, IDLE, ERROR = 1, 2, 8, 16, 32
_ERRORS = 30
_MESSAGE = 250
"""Characters of a message; the instrument takes 256 with the terminator (a default [K])."""

_CALIBRATION_S = 60.0
_SLOWEST_POLL_S = 0.05
_INTERLOCK_CODE = 202
_LEARNED = (0, 30, 31, 32, 33, 46, 47, 53, 54, 55, 56, 60, 110)


class KeysightB1500(Instrument):
    """A B1500A; its channels are named by slot: ``"1"`` a source-measure unit, ``"501"`` a pulse generator.

    Parameters
    ----------
    link : MessageLink
    identity : Identity, optional
    line_hz : float
        Frequency of the power line, hertz: apertures beyond 20 ms are counted in its cycles.
    read_back : {"8-byte", "4-byte"}
        How many readings come back. Four bytes are half of it, without time stamps, to 1 in 50 000 of the range.

    Attributes
    ----------
    modules : dict of int to Module
        What is in the slots.
    smus, pulsers : dict of str to SmuChannel, SpguChannel
        Channels by name.
    """

    models: ClassVar[tuple[str, ...]] = ("B1500A",)
    write_end: ClassVar[str] = "\r\n"
    read_end: ClassVar[str] = "\r\n"

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
    ) -> None:
        self._seen = 0
        self._cache: dict[str, str] | None = None
        self.line_hz = float(line_hz)
        self.read_back: Literal["8-byte", "4-byte"] = read_back
        super().__init__(link, identity=identity)
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

    def _identified(self) -> Identity:
        try:
            return super()._identified()
        except LinkTimeout as error:
            raise LinkTimeout(
                f"nothing answers at {self.link.address}: close EasyEXPERT on the B1500A (its starter, Start "
                "EasyEXPERT, has to run and to be idle), and compare the GPIB address",
                **error.numbers,
            ) from error

    def parts(self) -> Mapping[str, Part]:
        """Return the channels, by name."""
        return {**self.smus, **self.pulsers}

    # ---- messages -----------------------------------------------------------------------------------------
    def ask(self, query: str) -> str:
        """Ask something; returns the reply, or one command out of a learned one (``*LRN? 32|RI1``)."""
        asked, bar, head = query.partition("|")
        if not bar:
            return self.link.query(query)
        if self._cache is not None and asked in self._cache:
            return field(self._cache[asked], head)
        reply = self.link.query(asked)
        if self._cache is not None:
            self._cache[asked] = reply
        return field(reply, head)

    def tell_all(self, commands: Sequence[str]) -> None:
        """Send commands in as few messages as they fit in, then look at the errors once.

        Raises
        ------
        InstrumentError, InterlockOpen
        """
        with self.together():
            message = ""
            for command in commands:
                if message and len(message) + len(command) >= _MESSAGE:
                    self.tell(message)
                    message = ""
                message = f"{message};{command}" if message else command
            if message:
                self.tell(message)

    def learn(self, kind: int) -> str:
        """Return the commands that would bring back the settings of a kind (``*LRN?``); 1 to 10 are the slots."""
        return self.link.query(f"*LRN? {kind}")

    def settings(self) -> dict[str, Any]:
        """Return every readable setting by name; what several of them are learned from is asked for once."""
        with self._mine:
            self._cache = {}
            try:
                return super().settings()
            finally:
                self._cache = None

    def snapshot(self) -> dict[str, Any]:
        """Return identity, modules, all settings, and the commands that would bring them back."""
        kinds = [*_LEARNED, *(each.slot for each in self.smus.values())]
        return {
            **super().snapshot(),
            "modules": {slot: module.model for slot, module in self.modules.items()},
            "learned": {kind: self.learn(kind) for kind in kinds},
        }

    # ---- status and errors --------------------------------------------------------------------------------
    def _poll(self) -> int:
        """Return the status byte; what the poll clears is kept for :meth:`errors`."""
        status = self.link.status_byte()
        self._seen |= status & (ERROR | INTERLOCK)
        return status

    def errors(self) -> list[BoardError]:
        """Return and forget the errors: asked for only where the status byte tells of any, if there is one."""
        if not self.link.is_stream:
            self._poll()
            if not self._seen & (ERROR | INTERLOCK):
                return []
        found = []
        for _ in range(_ERRORS + 1):
            code, _, text = self.link.query("ERRX?").partition(",")
            try:
                number = int(code)
            except ValueError:
                raise MalformedAnswer(
                    f"{self!r} answered {code[:40]!r} to ERRX?: that is no error code; clear the link and ask again",
                    address=self.link.address,
                ) from None
            if number == 0:
                break
            found.append(BoardError(number, text.strip().strip('"')))
        return found

    def failure(self, found: list[BoardError]) -> InstrumentError:
        """Return what to raise for errors: an open interlock is told apart."""
        interlock, self._seen = bool(self._seen & INTERLOCK), 0
        if interlock or any(each.code == _INTERLOCK_CODE for each in found):
            told = "; ".join(str(each) for each in found)
            return InterlockOpen(
                f"{self!r} allows only +-42 V while its interlock is open ({told}): close the fixture, or wire the "
                "interlock; nothing was forced",
                errors=tuple(found),
            )
        return super().failure(found)

    def check(self) -> None:
        """Look at the instrument's errors.

        Raises
        ------
        InstrumentError, InterlockOpen
        """
        try:
            super().check()
        finally:
            self._seen = 0

    def wait_idle(self, seconds: float) -> int:
        """Wait until the instrument has done what it was told (bit 4 of its status byte); returns the byte.

        Parameters
        ----------
        seconds : float
            How long that may take beyond the link's time-out.

        Raises
        ------
        LinkTimeout
            It still works then.
        """
        deadline = time.monotonic() + seconds + self.link.timeout_s
        pause_s = 1e-3
        while not (status := self._poll()) & IDLE:
            if time.monotonic() > deadline:
                raise LinkTimeout(
                    f"{self!r} is still busy after {seconds + self.link.timeout_s:g} s: abort() it, or allow it more "
                    "time; it may wait for a trigger",
                    address=self.link.address,
                    timeout_s=seconds + self.link.timeout_s,
                )
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _SLOWEST_POLL_S)
        return status

    # ---- measuring ----------------------------------------------------------------------------------------
    def execute(
        self,
        setup: Sequence[str],
        *,
        words: int,
        seconds: float,
        repeat: int = 1,
        after: Sequence[str] = (),
        restart: bool = True,
        fewer: int = 0,
    ) -> Words:
        """Set up a measurement, trigger it, and read what it measured.

        Parameters
        ----------
        setup : sequence of str
            Commands before the trigger.
        words : int
            Data words of one trigger.
        seconds : float
            How long it takes.
        repeat : int
            Triggers.
        after : sequence of str
            Commands behind the triggers, sent whatever came of them.
        restart : bool
            The timer begins at 0.
        fewer : int
            Data may be missing in groups of so many words: their number is asked for.

        Raises
        ------
        InstrumentError, InterlockOpen, LinkError
        """
        eight = self.read_back == "8-byte"
        size = 8 if eight else 4
        style = "FMT 13,1;TSC 1" if eight else "FMT 3,1;TSC 0"
        with self._mine:
            try:
                self.tell_all([*setup, style, *(["TSR"] if restart else [])])
                self.link.write(";".join(["XE"] * repeat))
            except InstrumentError:
                if after:
                    self.link.write(";".join(after))
                raise
            if after:
                self.link.write(";".join(after))
            self._settled(seconds)
            if fewer:
                words = self._count("NUB?")
                if words % fewer or not words:
                    raise MalformedAnswer(
                        f"{self!r} has {words} data words, no whole samples: look at its errors and repeat",
                        address=self.link.address,
                    )
            each = words * size + 2
            wait_s = self.link.timeout_s + (seconds if self.link.is_stream else 0.0)
            return self._parsed(self.link.read_bytes(repeat * each, timeout_s=wait_s), each)

    def spot(self, command: str) -> Words:
        """Send one high-speed spot measurement (TTIV) and return its three words."""
        with self._mine:
            self.link.write(f"FMT 13,0;{command}")
            self._settled(self.link.timeout_s)
            return self._parsed(self.link.read_bytes(3 * 8 + 2), 3 * 8 + 2, eight=True)

    def _settled(self, seconds: float) -> None:
        """Wait for a measurement and look at the errors, where the interface tells without disturbing the data."""
        if not self.link.is_stream:
            self.wait_idle(seconds)
            self.check()

    def _count(self, query: str) -> int:
        reply = self.link.query(query)
        try:
            return int(reply)
        except ValueError:
            raise MalformedAnswer(
                f"{self!r} answered {reply[:40]!r} to {query}: no number; clear the link and repeat",
                address=self.link.address,
            ) from None

    def _parsed(self, data: bytes, each: int, *, eight: bool | None = None) -> Words:
        pieces = [data[at : at + each] for at in range(0, len(data), each)]
        if any(piece[-2:] != b"\r\n" for piece in pieces):
            raise MalformedAnswer(
                f"{self!r} sent data of another length than was measured: repeat it, and look at its errors",
                address=self.link.address,
            )
        parse = parse_eight if (self.read_back == "8-byte" if eight is None else eight) else parse_four
        try:
            return parse(b"".join(piece[:-2] for piece in pieces))
        except ValueError as error:
            raise MalformedAnswer(
                f"{self!r} sent data that cannot be read ({error}): compare one reading in FMT 1",
                address=self.link.address,
            ) from error

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
            while self._count("SPST?"):
                if time.monotonic() > deadline:
                    raise LinkTimeout(
                        f"{self!r} still gives pulses {self.link.timeout_s:g} s after they should be over: stop them "
                        "with make_safe()",
                        address=self.link.address,
                        timeout_s=count * period_s + self.link.timeout_s,
                    )
                time.sleep(min(max(count * period_s / 10, 1e-3), 0.1))

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
