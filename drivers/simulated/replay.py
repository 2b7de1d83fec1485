"""A recording as a bench: its addresses answer what was recorded, to exactly what was asked then.

``pyvisa.ResourceManager("session.rec@pcm")`` opens it, as does ``backend="session.rec@pcm"`` of any driver. Each
address keeps its own place in the recording, so that programs may talk to several in another order; what is asked of
one must be, byte for byte, what was asked of it then.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import cast

from drivers.comparison import mismatch
from drivers.errors import ReplayMismatch
from drivers.recording import Entry, comparable, read_recording
from drivers.simulated.locks import FairLock
from drivers.simulated.registry import TwinPort
from drivers.simulated.shared_bench import SharedBench
from drivers.simulated.terminals import Bench
from drivers.simulated.twin import Twin, TwinLink

__all__ = ["ReplayBench", "ReplayTwin"]


class ReplayBench(SharedBench):
    """The instruments of a recording; made by :func:`drivers.simulated.registry.open_bench`.

    Raises
    ------
    RecordingError
        The recording cannot be read.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        entries: dict[str, deque[Entry]] = {}
        for entry in read_recording(path):
            entries.setdefault(entry.address, deque()).append(entry)
        for address, found in entries.items():
            twin = ReplayTwin(address, found, path)
            self.instruments[address.upper()] = TwinPort(address, address, 0.0, lambda twin=twin: twin)  # type: ignore[misc]

    @property
    def left(self) -> int:
        """Messages of the recording that no program has sent yet."""
        twins = (port.twin for port in self.instruments.values() if isinstance(port, TwinPort))
        return sum(twin.left for twin in twins if isinstance(twin, ReplayTwin))


class _NoTime:
    """The bench of a recording: there are no wires, and nothing takes time."""

    now_ns = 0

    def pass_s(self, seconds: float) -> None:
        """Do nothing."""


class ReplayTwin(Twin):
    """One address of a recording.

    Parameters
    ----------
    address : str
    entries : deque of Entry
        What was recorded there, in order.
    path : Path
        The recording, for what errors say.
    """

    def __init__(self, address: str, entries: deque[Entry], path: Path) -> None:
        super().__init__(address, cast(Bench, _NoTime()), FairLock())
        self._path = path
        self._entries = deque(entry for entry in entries if entry.kind not in ("open", "close"))

    @property
    def left(self) -> int:
        """Messages that were not sent yet."""
        return sum(entry.kind == ">" for entry in self._entries)

    def _expect(self, kind: str, got: bytes = b"") -> Entry:
        if not self._entries:
            raise ReplayMismatch(
                f"{self._path} has ended for {self.name}, and the program goes on with {kind} {got[:80]!r}",
                path=self._path,
                address=self.name,
                got=repr(got),
            )
        if self._entries[0].kind != kind:
            raise mismatch(self._path, self._entries[0], got, kind)
        return self._entries[0]

    def frame(self, data: bytearray, *, ended: bool) -> bytes | None:
        """Compare what came with the message that was recorded; it is complete when it is the same."""
        if not data:
            return None
        entry = self._expect(">", bytes(data))
        wanted = entry.data
        if not comparable(bytes(data)).startswith(comparable(wanted)):
            # END stands for the line feed on interfaces that have it.
            if ended and bytes(data) == wanted.rstrip(b"\r\n"):
                data.clear()
                return wanted
            if wanted.startswith(data) and not ended:
                return None
            got = bytes(data)
            data.clear()
            raise mismatch(self._path, entry, got)
        del data[: len(wanted)]
        return wanted

    def obey(self, message: bytes, link: TwinLink) -> None:
        """Answer what was recorded."""
        self._entries.popleft()
        self._answer(link)

    def _answer(self, link: TwinLink) -> None:
        while self._entries and self._entries[0].kind == "<":
            link.answer(self._entries.popleft().data)

    def status_byte(self, link: TwinLink) -> int:
        """Answer a poll as it was answered then."""
        entry = self._expect("poll")
        self._entries.popleft()
        return entry.value or 0

    def cleared(self, link: TwinLink) -> None:
        """Compare a device clear."""
        self._expect("clear")
        self._entries.popleft()
        self._answer(link)

    def triggered(self, link: TwinLink) -> None:
        """Compare a trigger; what it made the instrument say is answered."""
        self._expect("trigger")
        self._entries.popleft()
        self._answer(link)
