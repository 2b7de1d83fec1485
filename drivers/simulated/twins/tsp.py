"""A simulated TSP instrument: lines of Lua in, what they print out (instruments §2.1).

::

    class Matrix(TspTwin):
        def __init__(self, ...):
            super().__init__(name, bench, lock, maker=..., model="707B", serial=..., firmware=...)
            channel = Node()
            channel.add(close=self._close)                       # a function; raises Refused or RuntimeFault
            channel.setting("connectrule", 1, one_of(0, 1, 2))   # a value that is kept and reset
            channel.attribute("count", lambda: 3)                # a value that is asked for
            self.lua.put("channel", channel)
            self.resettable.append(channel)

Python functions get Lua's numbers, strings, booleans and objects (:class:`Node`), and return one value, a tuple of
values, or a list that becomes a table. Time goes by in :attr:`overlapped` (``wait_s``), so that sweeps that are under
way go on.
"""

from __future__ import annotations

from drivers.simulated.locks import FairLock
from drivers.simulated.terminals import Bench
from drivers.simulated.twin import Twin, TwinLink
from drivers.simulated.twins.tsp_common import obey_common
from drivers.simulated.twins.tsp_errors import Entry, ErrorQueue, Refused, RuntimeFault
from drivers.simulated.twins.tsp_format import Format
from drivers.simulated.twins.tsp_library import add_library, local_node
from drivers.simulated.twins.tsp_lua import Lua
from drivers.simulated.twins.tsp_objects import Node
from drivers.simulated.twins.tsp_overlap import Overlapped
from drivers.simulated.twins.tsp_scripts import Scripts
from drivers.simulated.twins.tsp_status import MSS, Status

__all__ = ["TspTwin"]

FIRST_PATIENCE_S = 1e-3
"""A host that asks again while a sweep is under way has waited this long, twice as long each time: a default."""


class TspTwin(Twin):
    """A TSP instrument without its own commands, which the kinds of instrument add.

    Parameters
    ----------
    name, bench, lock
        As of :class:`~drivers.simulated.twin.Twin`.
    maker, model, serial, firmware : str
        Its identity; the model without "Model".
    line_hz : float
        Power line frequency.

    Attributes
    ----------
    resettable : list of Node
        What ``reset()`` brings back to its defaults.
    """

    def __init__(
        self,
        name: str,
        bench: Bench,
        lock: FairLock,
        *,
        maker: str = "Keithley Instruments Inc.",
        model: str,
        serial: str,
        firmware: str,
        line_hz: float = 50.0,
    ) -> None:
        super().__init__(name, bench, lock)
        self.maker, self.model, self.serial, self.firmware = maker, model, serial, firmware
        self.errors = ErrorQueue()
        self.status = Status(self.errors)
        self.format = Format()
        self.overlapped = Overlapped(bench)
        self.lua = Lua(self.errors.add)
        self.scripts = Scripts(self.lua, self.say)
        self.localnode = local_node(self, line_hz)
        self.resettable: list[Node] = [self.format]
        self._link: TwinLink | None = None
        self._patience_s = FIRST_PATIENCE_S
        self._requesting = self._requested = False
        self._opc_waits = False
        add_library(self)
        self.lua.put("localnode", self.localnode)
        self.lua.put("script", self.scripts)

    # ---- messages -----------------------------------------------------------------------------------------------
    def obey(self, message: bytes, link: TwinLink) -> None:
        """Act on one line: a common command, a line of a script that is loaded, or a chunk of Lua."""
        self._link = link
        try:
            self._visited()
            self._line(message.decode("latin-1").rstrip("\r"))
            self._completed()
            self._prompt()
        finally:
            self._link = None
        self._look_for_request(link)

    def _line(self, line: str) -> None:
        words = line.split()
        try:
            if self.scripts.loading:
                made = self.scripts.line(line)
                if made is not None:
                    self.lua.run(made.static["run"])
            elif words and words[0] in ("loadscript", "loadandrunscript") and len(words) <= 2:
                self.scripts.begin("".join(words[1:]), run=words[0] == "loadandrunscript")
            elif words and words[0].startswith("*"):
                obey_common(self, line.strip())
            elif words == ["abort"]:
                self.abort()
            elif words:
                chunk = self.lua.compile(line)
                if chunk is not None:
                    self.lua.run(chunk)
        except Refused as error:
            self.errors.add(error.entry)
        except RuntimeFault as error:
            self.errors.add(Entry(-286, f"TSP Runtime error at line 1: {error}"))

    def say(self, reply: bytes) -> None:
        """Put a message into the output queue of the link that is obeyed."""
        if self._link is not None:
            self._link.answer(reply)

    @property
    def answering(self) -> bool:
        """Whether the link that is obeyed has something to read."""
        return self._link is not None and bool(self._link.output)

    def _prompt(self) -> None:
        if self.localnode["showerrors"]:
            while len(self.errors):
                entry = self.errors.next()
                self.say(self.format.line((entry.code, entry.text, entry.severity, entry.node)))
        if self.localnode["prompts"]:
            self.say(b">>>>\n" if self.scripts.loading else b"TSP?\n" if len(self.errors) else b"TSP>\n")

    # ---- operations that are under way ----------------------------------------------------------------------------
    def _visited(self) -> None:
        """Let what was under way go on while the host was away."""
        self.overlapped.run_until(self.bench.now_ns)
        if self.overlapped.pending:
            self.overlapped.wait_s(self._patience_s)
            self._patience_s *= 2
        self._completed()

    def _completed(self) -> None:
        if self.overlapped.pending:
            return
        self._patience_s = FIRST_PATIENCE_S
        if self._opc_waits:
            self._opc_waits = False
            self.status.standard.latch(1)

    def operation_complete(self) -> None:
        """Set the OPC bit when nothing is under way any more (``opc()``, ``*OPC``)."""
        self._opc_waits = True
        self._completed()

    def abort(self) -> None:
        """Stop what is under way; kinds of instrument with overlapped operations say how."""

    def bus_trigger(self) -> None:
        """Act on ``*TRG`` and the interface's trigger; kinds of instrument with triggers say how."""

    def reset(self) -> None:
        """Bring all settings to their defaults (``reset()``, ``*RST``)."""
        for each in self.resettable:
            each.reset()

    # ---- the interface ----------------------------------------------------------------------------------------------
    def status_byte(self, link: TwinLink) -> int:
        """Return what a serial poll reads: bit 6 is RQS, which it clears."""
        self._visited()
        self._look_for_request(link)
        found = self.status.byte(message_available=bool(link.output)) & ~MSS
        requested, self._requested = self._requested, False
        return found | (MSS if requested else 0)

    def peek_status(self, link: TwinLink) -> int:
        """Return what a serial poll would read now."""
        self._look_for_request(link)
        found = self.status.byte(message_available=bool(link.output)) & ~MSS
        return found | (MSS if self._requested else 0)

    def due_s(self) -> float | None:
        """Return seconds until what goes on beside the host does its next step."""
        return self.overlapped.due_s()

    def time_passed(self) -> None:
        """Do what fell due."""
        self.overlapped.run_until(self.bench.now_ns)
        self._completed()

    def _look_for_request(self, link: TwinLink) -> None:
        """Ask for service where a reason to has come up."""
        now = bool(self.status.byte(message_available=bool(link.output)) & MSS)
        if now and not self._requesting:
            self._requested = True
        elif not now:
            self._requested = False
        self._requesting = now

    def triggered(self, link: TwinLink) -> None:
        """Act on the interface's trigger."""
        self.bus_trigger()

    def cleared(self, link: TwinLink) -> None:
        """Stop a script that is loaded half way."""
        self.scripts.abandon()

    def interrupted(self, link: TwinLink) -> None:
        """Note that a message came before the last reply was read."""
        self.errors.add(Entry(-410, "Query INTERRUPTED"))

    def unterminated(self, link: TwinLink) -> None:
        """Note that a reply was asked for where there is none."""
        self.errors.add(Entry(-420, "Query UNTERMINATED"))
