"""The base of every bench instrument's driver: open, identify, check each setting, leave it safe."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, ClassVar, Self

from drivers.chip import BoardError, Identity
from drivers.errors import InstrumentError, LinkError, MalformedAnswer, WrongInstrument
from drivers.message_link import MessageLink
from drivers.properties import Part

__all__ = ["Instrument"]


class Instrument(Part):
    """An instrument behind a VISA address; made by :meth:`open`, a context manager that leaves it safe and closed.

    A driver states :attr:`models`, its properties (:mod:`drivers.properties`), :meth:`safe`, and how its errors are
    asked for (:meth:`errors`). Everything that changes the instrument goes through :meth:`tell`, which looks at the
    errors afterwards; :meth:`together` looks once for several.

    Attributes
    ----------
    models : tuple of str
        Beginnings of the model field of ``*IDN?`` this driver is for.
    write_end, read_end : str
        What closes messages and replies; may depend on the interface, see :meth:`ends`.
    self_test_query : str or None
        Runs the self-test and answers 0 where it passed; None: the instrument has none.
    self_test_timeout_s : float
        How long it may take.
    """

    models: ClassVar[tuple[str, ...]] = ()
    write_end: ClassVar[str] = "\n"
    read_end: ClassVar[str] = "\n"
    self_test_query: ClassVar[str | None] = "*TST?"
    self_test_timeout_s: ClassVar[float] = 60.0

    def __init__(self, link: MessageLink, *, identity: Identity | None = None) -> None:
        self.link = link
        self._together = 0
        self._untold = False
        self._mine = threading.RLock()
        self._identity = identity or self._identified()

    @classmethod
    def ends(cls, address: str) -> tuple[str, str]:
        """Return what closes messages and replies on the interface of an address."""
        return cls.write_end, cls.read_end

    @classmethod
    def open(
        cls,
        address: str,
        *,
        backend: str = "@py",
        timeout_s: float = 10.0,
        transcript: Any = None,
        **options: Any,
    ) -> Self:
        """Open the instrument at a VISA address and see that it is one this driver is for.

        Parameters
        ----------
        address : str
            VISA address.
        backend : str
            PyVISA backend: ``"@py"``, or ``"bench.yaml@pcm"`` for a simulated bench in this process.
        timeout_s : float
            How long an answer may take, beyond what a measurement itself takes.
        transcript : callable or list, optional
            Gets a line for every message and reply.
        **options
            Of this kind of instrument.

        Raises
        ------
        LinkError
            Nothing answers there.
        WrongInstrument
            Something else does, or it is in a mode the driver cannot use.
        """
        write_end, read_end = cls.ends(address)
        link = MessageLink(
            address,
            backend=backend,
            timeout_s=timeout_s,
            write_end=write_end,
            read_end=read_end,
            transcript=transcript,
        )
        try:
            return cls(link, **options)
        except BaseException:
            link.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.safe()
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.link.address}>"

    # ---- who it is ----------------------------------------------------------------------------------------
    def identify(self) -> Identity:
        """Return who answers."""
        return self._identity

    def _identified(self) -> Identity:
        """Ask for the identity and compare it with :attr:`models`."""
        try:
            reply = self.link.query("*IDN?")
        except LinkError as error:
            raise type(error)(
                f"{error} (asked *IDN? for a {' / '.join(self.models)}: is that what is connected there, and in "
                "its own command language?)",
                **error.numbers,
            ) from error
        maker, model, serial, firmware = ([part.strip() for part in reply.split(",")] + [""] * 4)[:4]
        bare = model.upper().removeprefix("MODEL").strip()
        if not any(bare.startswith(known.upper()) for known in self.models):
            raise WrongInstrument(
                f"{self.link.address} is {reply.strip()[:80]!r}, no {' / '.join(self.models)}: compare the address "
                "and the driver in the bench file",
                expected=" / ".join(self.models),
                got=reply.strip(),
            )
        return Identity(maker, bare, serial, firmware, simulated=self.link.backend.endswith("@pcm"))

    # ---- commands -----------------------------------------------------------------------------------------
    def ask(self, query: str) -> str:
        """Ask something; returns the reply."""
        return self.link.query(query)

    def tell(self, command: str) -> None:
        """Send a command, then look at the instrument's errors, once per :meth:`together`.

        Raises
        ------
        InstrumentError
            The instrument refused it.
        """
        with self._mine:
            self.link.write(command)
            self._untold = True
            if not self._together:
                self.check()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Send several commands and look at the errors once, at the end."""
        with self._mine:
            self._together += 1
            try:
                yield
            finally:
                self._together -= 1
            if not self._together and self._untold:
                self.check()

    def check(self) -> None:
        """Look at the instrument's errors.

        Raises
        ------
        InstrumentError
            There are any; they are taken out of its queue.
        """
        self._untold = False
        found = self.errors()
        if found:
            raise self.failure(found)

    def failure(self, found: list[BoardError]) -> InstrumentError:
        """Return what to raise for errors of this instrument; drivers tell apart those they know."""
        return InstrumentError(
            f"{self!r} reports {'; '.join(str(error) for error in found)}; its settings may not be what was asked "
            "for",
            errors=tuple(found),
        )

    @abstractmethod
    def errors(self) -> list[BoardError]:
        """Return and forget the errors the instrument has waiting."""

    def self_test(self) -> bool:
        """Run the instrument's self-test; returns False where it has none.

        Raises
        ------
        InstrumentError
            It failed.
        """
        if self.self_test_query is None:
            return False
        reply = self.link.query(self.self_test_query, timeout_s=self.self_test_timeout_s).strip()
        try:
            failed = float(reply) != 0.0
        except ValueError as error:
            raise MalformedAnswer(
                f"{self!r} answered {reply[:80]!r} to its self-test: not a number; run the test at its front panel",
                address=self.link.address,
            ) from error
        if failed:
            raise InstrumentError(
                f"the self-test of {self!r} failed with {reply}: look the code up in its manual and do not trust "
                "its readings until then"
            )
        return True

    # ---- how it is left -----------------------------------------------------------------------------------
    @abstractmethod
    def make_safe(self) -> None:
        """Bring every output to where it can do no harm; may raise."""

    def safe(self) -> None:
        """Bring every output to where it can do no harm; never raises, and opens a broken link again for it."""
        with suppress(Exception):
            try:
                self.make_safe()
            except Exception:  # noqa: BLE001 - whatever went wrong on this link, a fresh one is tried once
                self.link.reopen()
                self.make_safe()

    def snapshot(self) -> dict[str, Any]:
        """Return identity and all settings, for the record of a run."""
        found = self._identity
        return {
            "identity": {
                "maker": found.maker,
                "model": found.model,
                "serial": found.serial,
                "firmware": found.firmware,
            },
            "settings": self.settings(),
        }

    def close(self) -> None:
        """Release the instrument; its outputs are left as they are."""
        self.link.close()
