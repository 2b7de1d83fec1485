"""A simulated Keithley 4200A-SCS under KXCI: source-measure units and a 4225-PMU with two channels (instruments §2.6).

What is special about it: on Ethernet messages and replies end with NUL and every message gets one reply, data or
``ACK``; a message without NUL is neither read nor echoed. On GPIB only questions are answered. Of errors only the last
is kept, ``:ERROR:LAST:GET`` does not take it away, and a refused message is acknowledged like any other. The status
byte has a layout of its own.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from drivers.simulated.twin import Transport, Twin, TwinLink
from drivers.simulated.twins.keithley_4200_pmu import Pmu
from drivers.simulated.twins.keithley_4200_smu import Integration, Smu, SmuCommands
from drivers.simulated.twins.keithley_4200_system import SystemMode
from drivers.simulated.twins.kxci import PAGES, Command, commands, whole
from drivers.simulated.twins.kxci_errors import KxciError, error_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from drivers.bench_simulated import SimulatedTwin
    from drivers.simulated.locks import FairLock
    from drivers.simulated.terminals import Bench
    from drivers.simulated.world import World

__all__ = ["Keithley4200Twin", "build"]

DATA, SYNTAX, BUSY, REQUEST = 0x01, 0x02, 0x10, 0x40
POLL_S = 2e-3
"""Default: how long KXCI, a program of the instrument's PC, takes to look at the state of a test."""
SET_UP_S = 5e-3
"""Default: how long a test runs beyond its pulses and readings."""
_NOT_MODELLED = frozenset(
    {"AC", "CN", "DS", "EC", "EM", "GT", "IN", "KI", "MP", "NR", "PT", "RP", "SR", "SV", "VM", "VS", "WT"}
)
"""Commands of the instrument that are refused here with -986."""
_WHILE_BUSY = frozenset(
    {"SP", "BC", "ID", "*IDN?", "*RST", "ME", ":ERROR:LAST:GET", ":ERROR:LAST:CLEAR", ":PMU:TEST:STATUS?",
     ":PMU:ABORT"}
)  # fmt: skip


class Keithley4200Twin(Twin):
    """A mainframe.

    Parameters
    ----------
    name, bench, lock
        As of :class:`~drivers.simulated.twin.Twin`.
    serial, firmware : str
        In its identity; pulses are commanded since V1.13.
    smus, preamps : int
        Source-measure units, and how many of them, from the first on, have a preamplifier.
    rpm : bool
        Whether the pulse card has its remote modules.
    interlock : bool
        Whether the interlock is connected.
    kxci : bool
        Whether KXCI runs; with Clarius open it does not, and nothing is read.
    emulation_4145 : bool
        ``ID`` answers as a 4145.
    line_hz : float
        Power line.
    """

    message_end = b"\0"

    def __init__(
        self,
        name: str,
        bench: Bench,
        lock: FairLock,
        *,
        serial: str = "1442736",
        firmware: str = "V1.13",
        smus: int = 2,
        preamps: int = 0,
        rpm: bool = True,
        interlock: bool = True,
        kxci: bool = True,
        emulation_4145: bool = False,
        line_hz: float = 50.0,
    ) -> None:
        super().__init__(name, bench, lock)
        self._identity = f"KEITHLEY INSTRUMENTS,KI4200A,{serial},{firmware}"
        self._id = "HP4145B 1.1,1.0" if emulation_4145 else f"KI4200A {firmware}"
        self._options = None if emulation_4145 else _fitted(smus, preamps, rpm=rpm)
        self._runs = kxci
        self._has_pulses = _version(firmware) >= (1, 13)
        units = {
            each: Smu(name, each, bench, preamp=each <= preamps, interlock=interlock)
            for each in range(1, smus + 1)
        }
        self.units = SmuCommands(units, Integration(line_hz=line_hz))
        self.system = SystemMode(bench, self.units)
        self.pmu = Pmu(name, bench, rpm=rpm)
        self.system.measured = self._measured
        self.pmu.executed = self._measured
        self._busy_until_ns = 0
        self._pending = self._ready = self._syntax = self._request = False
        self._asks_service = False
        self.page = "DE"
        self.last_error = 0
        self._common: dict[str, Callable[[Command], str | None]] = {
            "*IDN?": lambda _: self._identity, "ID": lambda _: self._id, "*OPT?": self._opt, "*RST": self._rst,
            "SP": self._sp, "BC": self._bc, "DR": self._dr, "DO": self._do, "RD": self._rd, "EX": self._ex,
            "GN": self._no_module, "GP": self._no_module, "GR": self._no_module,
            ":ERROR:LAST:GET": lambda _: error_text(self.last_error), ":ERROR:LAST:CLEAR": self._clear_error,
            ":PMU:TEST:STATUS?": self._test_status, **self.units.both,
        }  # fmt: skip

    # ---- messages -----------------------------------------------------------------------------------------
    def frame(self, data: bytearray, *, ended: bool) -> bytes | None:
        """Take the next message; where the interface ends messages, line ends at its end do not count."""
        message = super().frame(data, ended=ended)
        if message is None or not ended:
            return message
        while bytes(data[:1]) in (b"\0", b"\r", b"\n"):
            del data[:1]
        return message.rstrip(b"\0\r\n")

    def obey(self, message: bytes, link: TwinLink) -> None:
        """Act on one message and answer it once, as the interface wants it."""
        if not self._runs:
            return
        reply: str | None = None
        try:
            for command in commands(message.decode("latin-1")):
                answer = self._act(command)
                reply = answer if answer is not None else reply
        except KxciError as refused:
            self.last_error = refused.code
            self._syntax = self._request = True
            reply = None
        if link.transport is Transport.SOCKET:
            link.answer(("ACK" if reply is None else reply).encode("latin-1") + b"\0")
        elif reply is not None:  # the line feed is the string terminator KCon is set to (default)
            link.answer(reply.encode("latin-1") + b"\n")
            if self._asks_service:
                self._request = True

    def _act(self, command: Command) -> str | None:
        header = command.header
        if self.busy and header not in _WHILE_BUSY:
            raise KxciError(-980)
        if header in PAGES:
            self.page = header
            return None
        pmu = self.pmu.commands.get(header) if self._has_pulses else None
        if pmu is not None:
            if self.page in ("US", "UL"):
                raise KxciError(-975)
            if header == ":PMU:ABORT" and self.busy:
                self._busy_until_ns = self.bench.now_ns
                raise KxciError(-966)
            return pmu(command)
        found = self._common.get(header) or self._on_page(header)
        if found is None:
            raise KxciError(-986 if header in _NOT_MODELLED else -992)
        return found(command)

    def _on_page(self, header: str) -> Callable[[Command], str | None] | None:
        """Return the command of the mode and page that is chosen."""
        if header in self.units.user:
            if self.page != "US":
                raise KxciError(-974)
            return self.units.user[header]
        for page, found in self.system.pages.items():
            if header in found:
                if self.page in ("US", "UL"):
                    raise KxciError(-975)
                if page != self.page:
                    raise KxciError(-989)
                return found[header]
        return None

    # ---- state --------------------------------------------------------------------------------------------
    @property
    def busy(self) -> bool:
        """Whether a test runs."""
        return self.bench.now_ns < self._busy_until_ns

    def _measured(self) -> None:
        self._busy_until_ns = self.bench.now_ns + round(SET_UP_S * 1e9)
        self._pending = True

    def _state(self, link_has_output: bool) -> int:
        if self._pending and not self.busy:
            self._pending, self._ready = False, True
            self._request |= self._asks_service
        value = DATA if self._ready or link_has_output else 0
        value |= SYNTAX if self._syntax else 0
        value |= BUSY if self.busy else 0
        return value | (REQUEST if self._request else 0)

    def status_byte(self, link: TwinLink) -> int:
        """Return the status byte; data ready, syntax error and request are cleared by it."""
        value = self._state(bool(link.output))
        self._ready = self._syntax = self._request = False
        return value

    def peek_status(self, link: TwinLink) -> int:
        """Return what a serial poll would read."""
        return self._state(bool(link.output))

    def due_s(self) -> float | None:
        """Return seconds until the test is over, None where none runs."""
        return (self._busy_until_ns - self.bench.now_ns) * 1e-9 if self.busy else None

    def cleared(self, link: TwinLink) -> None:
        """Clear syntax error and request; data that is ready stays."""
        self._syntax = self._request = False

    # ---- commands of every page ---------------------------------------------------------------------------
    def _opt(self, command: Command) -> str:
        if self._options is None:
            raise KxciError(-992)
        return self._options

    def _rst(self, command: Command) -> None:
        self.units.reset()
        self.system.reset()
        self.pmu.initialise(arb=False)
        self.pmu.initialised = False
        self.page = "DE"
        self._busy_until_ns = self.bench.now_ns
        self._pending = self._ready = False

    def _sp(self, command: Command) -> str:
        self.bench.pass_s(POLL_S)
        value = self._state(False)
        self._ready = self._syntax = self._request = False
        return str(value)

    def _bc(self, command: Command) -> None:
        self.system.clear()
        self._ready = False

    def _dr(self, command: Command) -> None:
        text = command.arguments[0] if command.arguments else ""
        self._asks_service = bool(whole(text, low=0, high=1))

    def _do(self, command: Command) -> str:
        self._ready = False
        return self.system.output(command)

    def _rd(self, command: Command) -> str:
        self._ready = False
        return self.system.reading(command)

    def _clear_error(self, command: Command) -> None:
        self.last_error = 0

    def _test_status(self, command: Command) -> str:
        self.bench.pass_s(POLL_S)
        return "1" if self.busy else "0"

    # ---- user libraries -----------------------------------------------------------------------------------
    def _ex(self, command: Command) -> str:
        """Run a module of a user library: none is installed here, so none is found."""
        if self.page != "UL":
            raise KxciError(-974)
        library = command.rest.partition(" ")[0]
        if not library or "(" not in command.rest:
            raise KxciError(-993)
        return f"EX ERROR: user library not found:{library}"

    def _no_module(self, command: Command) -> str:
        if self.page != "UL":
            raise KxciError(-974)
        raise KxciError(-993)


def _fitted(smus: int, preamps: int, *, rpm: bool) -> str:
    units = [f"SMU{'PA' if each <= preamps else ''}{each}" for each in range(1, smus + 1)]
    return ",".join([*units, "PMU1RPM1-2" if rpm else "PMU1"])


def _version(firmware: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d+", firmware))


_OPTIONS = frozenset({"smus", "preamps", "rpm", "interlock", "kxci", "emulation_4145", "line_hz"})


def build(name: str, simulated: SimulatedTwin, world: World) -> Keithley4200Twin:
    """Build the twin a ``simulated`` section describes.

    Raises
    ------
    ValueError
        An option it does not have.
    """
    options = dict(simulated.options)
    if unknown := sorted(options.keys() - _OPTIONS):
        raise ValueError(
            f"{name}: {simulated.model} has no option {', '.join(unknown)}; there are {', '.join(sorted(_OPTIONS))}"
        )
    stated = {"serial": simulated.serial, "firmware": simulated.firmware}
    options.update({key: value for key, value in stated.items() if value is not None})
    return Keithley4200Twin(name, world, world.lock, **options)  # type: ignore[arg-type]
