"""Faults a test can arm on the simulated controller (controller-protocol §11)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from drivers.simulated.scpi_commands import Float, Int, Parameter, Word
from drivers.simulated.scpi_output import Reply

__all__ = ["FAULT_PARAMETERS", "Faults"]

FAULT_PARAMETERS: dict[str, tuple[Parameter, ...]] = {
    "OCP": (Int(),),
    "SUPP": (Int(),),
    "BOOT": (Int(optional=True),),
    "RAIL": (Word(words=("VDD", "VWL")),),
    "OTP": (),
    "ILOC": (),
    "CELL": (Int(), Word(words=("SET", "RES", "OPEN"))),
    "ADCO": (Float(),),
    "CLIP": (Float(0.0, 1.0),),
    "STAM": (Float(-1e9, 1e9),),
    "DROP": (Word(words=("RX", "TX")), Int()),
    "MUTE": (Int(),),
    "LATE": (Float(0.0, 3600.0), Int()),
    "TRUN": (Int(),),
    "SLOW": (Float(0.0, 1e9, above=True),),
}
"""Arguments of each fault; the only names ``SIM:FAUL`` knows."""


@dataclass
class Faults:
    """What is armed; `values` maps a fault's name to its arguments, in the order of arming."""

    values: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def arm(self, name: str, *arguments: Any) -> None:
        """Arm one; a fault armed before under the same name is replaced."""
        self.values.pop(name, None)
        self.values[name] = arguments

    def disarm(self, name: str | None = None) -> None:
        """Disarm one, or all."""
        if name is None:
            self.values.clear()
        else:
            self.values.pop(name, None)

    def after_boot(self) -> None:
        """Disarm all but stuck cells, as a boot does."""
        self.values = {name: value for name, value in self.values.items() if name == "CELL"}

    def names(self) -> str:
        """Names comma separated, ``0`` where none is armed."""
        return ",".join(self.values) or "0"

    def has(self, name: str) -> bool:
        """Whether a fault is armed."""
        return name in self.values

    def number(self, name: str, default: float) -> float:
        """Return the argument of a fault that shifts or scales a quantity."""
        return float(self.values[name][0]) if name in self.values else default

    def take_at_entry(self) -> tuple[str, int] | None:
        """Use up the first fault armed for an entry of the next batch."""
        for name in ("OCP", "SUPP", "BOOT"):
            if name in self.values:
                (entry,) = self.values.pop(name)
                return name, int(entry)
        return None

    # ---- the link -----------------------------------------------------------------------------------------------
    def receive_limit(self) -> int | None:
        """Bytes until reception breaks off, None where it does not."""
        drop = self.values.get("DROP")
        return int(drop[1]) if drop is not None and drop[0] == "RX" else None

    def received(self, count: int) -> bool:
        """Count bytes received; False where the link breaks now."""
        limit = self.receive_limit()
        if limit is None:
            return True
        if count >= limit:
            del self.values["DROP"]
            return False
        self.values["DROP"] = ("RX", limit - count)
        return True

    def spoil(self, reply: Reply) -> tuple[Reply | None, bool]:
        """Apply the faults of the link to a reply.

        Returns
        -------
        reply : Reply or None
            None where nothing is sent.
        close : bool
            Whether the link closes behind it.
        """
        if self._count_down("MUTE", 0):
            return None, False
        late = self.values.get("LATE")
        if late is not None and self._count_down("LATE", 1):
            reply.not_before = time.monotonic() + float(late[0])
        if "TRUN" in self.values and reply.has_block:
            reply.cut(int(self.values.pop("TRUN")[0]))
            return reply, True
        drop = self.values.get("DROP")
        if drop is not None and drop[0] == "TX":
            left = int(drop[1])
            if reply.size >= left:
                del self.values["DROP"]
                reply.cut(left)
                return reply, True
            self.values["DROP"] = ("TX", left - reply.size)
        return reply, False

    def _count_down(self, name: str, position: int) -> bool:
        """Use up one of the replies a fault is armed for; False where none is left."""
        arguments = self.values.get(name)
        if arguments is None:
            return False
        left = int(arguments[position])
        if left <= 1:
            del self.values[name]
        else:
            self.values[name] = (*arguments[:position], left - 1, *arguments[position + 1 :])
        return left > 0
