"""Keithley 4200A-SCS under KXCI: source-measure units and the 4225-PMU with its remote pulse modules.

::

    with Keithley4200.open("TCPIP0::192.168.0.10::1225::SOCKET") as k4200:
        burst = k4200.smu["smu1"].burst(0.1, samples=10, aperture_s=0.02, limit_a=1e-4)
        pulser = k4200.pmu["pmu1_1"]
        pulser.configure(range_a=1e-3)
        pulser.prepare(PulseShape(50e-9, 200e-9, 20e-9, 10e-6))
        pulser.fire(2.5)
        wave = pulser.capture()

Clarius must be closed and KXCI started at the instrument, its string terminator set to None in KCon. On Ethernet every
message gets a reply, so every setting is asked and must answer ``ACK``; what is wrong with it, ``:ERROR:LAST:GET``
says. Sources: KXCI manual Rev E and the examples of its maker (instruments §2.6).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

from drivers.chip import BoardError, Identity
from drivers.errors import InstrumentError, LinkError, LinkTimeout, MalformedAnswer
from drivers.instrument import Instrument
from drivers.instruments.keithley_4200_errors import parsed, raised
from drivers.instruments.keithley_4200_pmu import PulseCard
from drivers.instruments.keithley_4200_pulser import PmuChannel
from drivers.instruments.keithley_4200_smu import SmuChannel
from drivers.message_link import MessageLink
from drivers.properties import Part, text

__all__ = ["Keithley4200"]

_BUSY = 0x10
_SYSTEM_PAGES = ("DE", "SS", "SM", "MD")


class Keithley4200(Instrument):
    """A 4200A-SCS mainframe.

    Parameters
    ----------
    line_hz : float
        Power line, what integration times are counted in.
    pause : callable
        Lets seconds pass between two questions for the end of a test.

    Attributes
    ----------
    smu : mapping of str to SmuChannel
        Source-measure units, ``smu1`` and on.
    pmu : mapping of str to PmuChannel
        Channels of the pulse card, ``pmu1_1`` and ``pmu1_2``; empty without one.
    card : PulseCard
        What both channels share, and firing both at once.
    """

    models = ("KI4200A",)

    def __init__(
        self,
        link: MessageLink,
        *,
        identity: Identity | None = None,
        line_hz: float = 50.0,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        super().__init__(link, identity=identity)
        self._pause = pause
        self._page = ""
        self._send_raw(":ERROR:LAST:CLEAR")
        fitted = [each.strip().upper() for each in self.ask("*OPT?").split(",")]
        self.smu = {
            f"smu{each[-1]}": SmuChannel(self, int(each[-1]), line_hz, preamp="SMUPA" in each)
            for each in fitted
            if each.startswith("SMU") and each[-1].isdigit()
        }
        self.card = PulseCard(self, rpm=any("RPM" in each for each in fitted))
        has_card = any(each.startswith("PMU") for each in fitted)
        self.pmu = {f"pmu1_{each}": PmuChannel(self.card, each) for each in (1, 2)} if has_card else {}

    modules = text("*OPT?", None, "Get what is fitted: ``SMU1,SMUPA2,PMU1RPM1-2``.")

    @classmethod
    def ends(cls, address: str) -> tuple[str, str]:
        """Return what closes messages and replies: NUL on Ethernet, a line feed on GPIB."""
        return ("\0", "\0") if address.upper().endswith("::SOCKET") else ("\n", "\n")

    def parts(self) -> Mapping[str, Part]:
        """Return the channels, by name."""
        return {**self.smu, **self.pmu}

    def settings(self) -> dict[str, Any]:
        """Return what is fitted and what the pulse card is set to; KXCI has no questions for settings."""
        return {"modules": self.modules, **self.card.settings()}

    @classmethod
    def open(cls, address: str, **how: Any) -> Self:
        """Open the instrument at a VISA address; see :meth:`drivers.instrument.Instrument.open`.

        Raises
        ------
        LinkError
            Nothing answers there, as when Clarius is open instead of KXCI.
        WrongInstrument
            Something else does.
        """
        try:
            return super().open(address, **how)
        except LinkError as error:
            raise type(error)(
                f"{error}; for KXCI: close Clarius, start KXCI, and in KCon choose this interface and the string "
                "terminator None",
                **error.numbers,
            ) from error

    # ---- commands -----------------------------------------------------------------------------------------
    def ask(self, query: str) -> str:
        """Ask something; returns the reply.

        Raises
        ------
        InstrumentError
            The question was refused: it is acknowledged on Ethernet, and not answered on GPIB.
        """
        with self._mine:
            try:
                reply = self.link.query(query)
            except LinkTimeout:
                if self.link.is_stream:
                    raise
                self.link.reopen()
                self.check()
                raise
            if reply.strip() == "ACK" and self.link.is_stream:
                self.check()
                raise MalformedAnswer(f"{self!r} acknowledged the question {query!r} instead of answering it")
            return reply

    def tell(self, command: str) -> None:
        """Send a command, see that it is acknowledged, then look at the instrument's error.

        Raises
        ------
        InstrumentError
            The instrument refused it.
        MalformedAnswer
            Something else than ``ACK`` came back on Ethernet.
        """
        with self._mine:
            self._send_raw(command)
            self._untold = True
            if not self._together:
                self.check()

    def _send_raw(self, command: str) -> None:
        """Send a command without looking at errors."""
        if not self.link.is_stream:
            self.link.write(command)
            return
        reply = self.link.query(command)
        if reply.strip() != "ACK":
            raise MalformedAnswer(
                f"{self!r} answered {reply[:80]!r} to {command[:40]!r} instead of ACK; open the link again, replies "
                "may be out of step"
            )

    def page(self, page: str) -> None:
        """Switch to a page: ``US`` user mode, ``DE SS SM MD`` system mode, ``UL`` user libraries."""
        if self._page != page:
            self.tell(page)
            self._page = page

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the instrument against other threads."""
        with self._mine:
            yield

    @contextmanager
    def on_page(self, page: str) -> Iterator[None]:
        """Hold the instrument against other threads, on a page."""
        with self._mine:
            self.page(page)
            yield

    @contextmanager
    def in_system_mode(self) -> Iterator[None]:
        """Hold the instrument against other threads, on any page of the system mode."""
        with self._mine:
            if self._page not in _SYSTEM_PAGES:
                self.page(_SYSTEM_PAGES[0])
            yield

    def check(self) -> None:
        """Look at the instrument's error; after one the page is not taken for known.

        Raises
        ------
        InstrumentError
        """
        try:
            super().check()
        except InstrumentError:
            self._page = ""
            raise

    def errors(self) -> list[BoardError]:
        """Return and forget the error KXCI keeps, which is only the last one."""
        found = parsed(self.link.query(":ERROR:LAST:GET"))
        if found is None:
            return []
        self._send_raw(":ERROR:LAST:CLEAR")
        return [found]

    def failure(self, found: list[BoardError]) -> InstrumentError:
        """Return what to raise for errors of KXCI."""
        return raised(repr(self), found)

    def wait(self, query: str, *, expected_s: float) -> None:
        """Wait until a test is over.

        Parameters
        ----------
        query : str
            ``SP`` for source-measure units, ``:PMU:TEST:STATUS?`` for pulses.
        expected_s : float
            What the test itself takes, seconds.

        Raises
        ------
        LinkTimeout
            It still runs after twice that and the time-out of the link.
        """
        limit_s = 2 * expected_s + self.link.timeout_s
        deadline = time.monotonic() + limit_s
        pause_s = 1e-3
        while self._runs(query):
            if time.monotonic() > deadline:
                raise LinkTimeout(
                    f"{self!r} still runs a test after {limit_s:g} s; abort it with make_safe()",
                    address=self.link.address,
                    timeout_s=limit_s,
                )
            if not self._identity.simulated:  # a simulated bench passes no time while this process sleeps
                self._pause(pause_s)
                pause_s = min(1.5 * pause_s, 0.05)

    def _runs(self, query: str) -> bool:
        reply = self.ask(query).strip()
        if not reply.isdigit():
            raise MalformedAnswer(f"{self!r} answered {reply[:40]!r} to {query!r}: no number of a state")
        return bool(int(reply) & _BUSY) if query == "SP" else reply != "0"

    # ---- how it is left -----------------------------------------------------------------------------------
    def make_safe(self) -> None:
        """Abort what runs and switch every output off."""
        with self._mine:
            self._page = ""
            commands = [":PMU:ABORT", "MD", "ME4"]
            commands += [f":PMU:OUTPUT:STATE {each.number},0" for each in self.pmu.values()]
            commands += ["US", *(f"DV{each.number}" for each in self.smu.values())]
            for command in commands:  # each as far as it is possible, whatever the one before it met
                self._send_raw(command)
            self._send_raw(":ERROR:LAST:CLEAR")
            self._page = "US"

    def reset(self) -> None:
        """Reset everything to the power-on state, outputs off."""
        with self._mine:
            self.tell("*RST")
            self._page = ""
            self.card.forget()

    def clear(self) -> None:
        """Clear the readings of the last measurement."""
        self.tell("BC")

    def run_module(self, library: str, module: str, *arguments: float | str) -> str:
        """Run a module of a user library and return what it returns.

        Parameters
        ----------
        library, module : str
            Names as in KULT.
        *arguments
            In the order of the module; "" for an output.

        Raises
        ------
        InstrumentError
            There is no such module, or it was given other arguments than it has.
        """
        with self.on_page("UL"):
            spelled = ",".join(each if isinstance(each, str) else f"{each:.10g}" for each in arguments)
            reply = self.ask(f"EX {library} {module}({spelled})")
            if reply.upper().startswith("EX ERROR"):
                raise self.failure([BoardError(0, reply.strip())])
            return reply.strip()

    def fetch_module_output(self, position: int) -> list[float]:
        """Fetch an output array of the module that ran last.

        Parameters
        ----------
        position : int
            Of the argument, counted from 1.
        """
        with self.on_page("UL"):
            reply = self.ask(f"GP {int(position)}")
        try:
            return [float(each) for each in reply.split(",") if each.strip()]
        except ValueError as error:
            raise MalformedAnswer(f"{self!r} answered {reply[:80]!r} to GP: no numbers") from error
