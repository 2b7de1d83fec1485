"""The base of all twins that speak SCPI: messages, errors, status, IEEE 488.2, and operations that take time.

A model states its identity, its table of commands (:meth:`ScpiTwin.commands`), its settings
(:mod:`drivers.simulated.twins.scpi_settings`) and its ways: how it spells numbers and errors, how long its error queue
is, whether it clips. Parser, framer and status are those of the controller, which speaks the same language
(instruments §3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from drivers.simulated.locks import FairLock
from drivers.simulated.scpi_errors import ScpiError
from drivers.simulated.terminals import Bench
from drivers.simulated.twin import TwinLink
from drivers.simulated.twins.scpi_common import common_commands, status_commands, system_commands
from drivers.simulated.twins.scpi_exchange import Operation, ScpiExchange
from drivers.simulated.twins.scpi_registers import TwinStatus
from drivers.simulated.twins.scpi_settings import Setting, Settings, nr3
from drivers.simulated.twins.scpi_table import TwinCommand, TwinTable

__all__ = ["ScpiTwin"]


_FOREVER_S = 1e12


class ScpiTwin(ScpiExchange):
    """A SCPI instrument.

    Parameters
    ----------
    name, bench, lock
        As of :class:`~drivers.simulated.twin.Twin`.
    maker, model, serial, firmware : str
        Fields of ``*IDN?``.

    Attributes
    ----------
    channels : int
        Largest number behind a marked node, where a command does not say another one.
    queue_size : int
        Entries of the error queue.
    plus : bool
        Error codes from 0 up have a sign: ``+0,"No error"``.
    joint : str
        What parts an error's text from its information.
    texts : dict
        Texts of its own error codes, and of standard ones it words otherwise.
    clips : bool
        A value out of range is brought to the limit, and -222 queued; otherwise it is refused.
    number : callable
        Spells numbers of replies.
    version : str
        Of SCPI.
    options : str
        Reply to ``*OPT?``.
    """

    channels = 1
    queue_size = 20
    plus = False
    joint = ";"
    texts: ClassVar[Mapping[int, str]] = {}
    clips = False
    number: Callable[[float], str] = staticmethod(nr3())
    version = "1999.0"
    options = "0"

    def __init__(
        self, name: str, bench: Bench, lock: FairLock, *, maker: str, model: str, serial: str, firmware: str
    ) -> None:
        super().__init__(name, bench, lock)
        self.maker, self.model, self.serial, self.firmware = maker, model, serial, firmware
        self.registers = TwinStatus(
            size=self.queue_size, texts=dict(self.texts), plus=self.plus, joint=self.joint
        )
        self.operations: list[Operation] = []
        self.settings = Settings(self, self.rows())
        self.table = TwinTable(self.channels)
        self.table.add(common_commands(self))
        self.table.add(status_commands(self))
        self.table.add(system_commands(self))
        for row in self.settings.rows.values():
            self.table.add(row.commands(self))
        self.table.add(self.commands())
        self.memory: dict[int, Any] = {}

    # ---- what a model states --------------------------------------------------------------------------------
    def rows(self) -> list[Setting]:
        """Return its settings."""
        return []

    def commands(self) -> Iterable[TwinCommand]:
        """Return its other commands; one that is spelled like a common one replaces it."""
        return ()

    def reset(self) -> None:
        """Do what ``*RST`` does beyond :attr:`settings`, which are at their defaults already."""

    def changed(self, name: str, n: int) -> None:
        """Act on a setting that was set by its command."""

    def recalled(self) -> None:
        """Act on settings that ``*RCL`` brought back."""

    def trigger(self, link: TwinLink) -> None:
        """Act on ``*TRG`` and on the interface's trigger; -211 where nothing waits for one."""
        raise ScpiError(-211)

    def self_test(self) -> int:
        """Return the result of ``*TST?``, 0 for passed."""
        return 0

    def operation_condition(self) -> int:
        """Return the operation condition register."""
        return 0

    def questionable_condition(self) -> int:
        """Return the questionable condition register."""
        return 0

    # ---- errors and operations ------------------------------------------------------------------------------
    def error(self, code: int, info: str = "") -> None:
        """Queue an error."""
        self.registers.error(code, info)

    def get(self, name: str, n: int = 1) -> Any:
        """Return a setting."""
        return self.settings.get(name, n)

    def put(self, name: str, value: Any, n: int = 1) -> None:
        """Store a setting; nothing acts on it."""
        self.settings.put(name, value, n)

    def begin(self, seconds: float | None = None, then: Callable[[], None] | None = None) -> Operation:
        """Begin an overlapped operation that ends after `seconds`, or when it is told to (:meth:`end`)."""
        end_ns = None if seconds is None else self.bench.now_ns + round(min(seconds, _FOREVER_S) * 1e9)
        operation = Operation(end_ns, then)
        self.operations.append(operation)
        return operation

    def end(self, operation: Operation) -> None:
        """End an operation now, if it is still going on."""
        if operation in self.operations:
            self.operations.remove(operation)
            if operation.then is not None:
                operation.then()

    def abort(self) -> None:
        """Drop all operations; nothing is called."""
        self.operations.clear()

    def settle(self) -> None:
        """Bring operations and registers up to the time of the bench."""
        due = [op for op in self.operations if op.end_ns is not None and op.end_ns <= self.bench.now_ns]
        for operation in sorted(due, key=lambda op: op.end_ns or 0):
            self.end(operation)
        if not self.operations:
            self.registers.operation_complete()
        self.registers.operation.update(self.operation_condition())
        self.registers.questionable.update(self.questionable_condition())
