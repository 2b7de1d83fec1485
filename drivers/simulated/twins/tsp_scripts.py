"""Scripts in the memory of a TSP instrument: loaded line by line, run by name, deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drivers.simulated.twins.tsp_errors import Refused, RuntimeFault
from drivers.simulated.twins.tsp_lua import Lua
from drivers.simulated.twins.tsp_objects import Node, text

__all__ = ["Scripts"]

NAME_TAKEN = (1408, "Script already exists")
"""Code as of instruments §2.1; the words are a default."""

NO_SUCH_NAME = (-292, "Referenced name does not exist")
BAD_NAME = (-282, "Illegal program name")


class Scripts(Node):
    """The ``script`` object.

    Parameters
    ----------
    lua : Lua
        Where scripts become globals.
    say : callable
        Sends a message: what ``list()`` of a script prints.
    """

    def __init__(self, lua: Lua, say: Callable[[bytes], None]) -> None:
        super().__init__()
        self._lua, self._say = lua, say
        self._named: dict[str, Node] = {}
        self._anonymous: Node | None = None
        self._loading: tuple[str, list[str], bool] | None = None
        self.add(
            new=lambda code, name="": self._create(text(name), text(code)) or None,
            newautorun=lambda code, name="": self._create(text(name), text(code)) or None,
            delete=self._delete,
            run=self._run_anonymous,
        )
        self.attribute("anonymous", lambda: self._anonymous)
        user = Node()
        user.attribute("scripts", self._table)
        user.add(catalog=self._catalog)
        self.add(user=user, factory=Node())

    @property
    def loading(self) -> bool:
        """Whether lines are taken for a script now."""
        return self._loading is not None

    def begin(self, name: str, *, run: bool) -> None:
        """Take the lines that follow for a script (``loadscript``, ``loadandrunscript``)."""
        self._loading = (name, [], run)

    def line(self, line: str) -> Node | None:
        """Take a line; at ``endscript`` returns the script where it is to be run now."""
        assert self._loading is not None  # noqa: S101 - asked by loading
        name, lines, run = self._loading
        if line.strip() != "endscript":
            lines.append(line)
            return None
        self._loading = None
        made = self._create(name, "\n".join(lines))
        return made if run else None

    def abandon(self) -> None:
        """Forget a script that was not finished."""
        self._loading = None

    def _create(self, name: str, source: str) -> Node | None:
        if name and not (name.isidentifier() and name.isascii()):
            raise Refused(*BAD_NAME)
        if name in self._named:
            raise Refused(*NAME_TAKEN)
        function = self._lua.compile(source)
        if function is None:
            return None
        made = Node()
        made.add(
            __run=function,
            run=function,
            list=lambda: self._say((source + "\n").encode("latin-1", "replace")),
            save=lambda *_: None,
        )
        made.attribute("source", lambda: source)
        made.attribute("name", lambda: name)
        made.setting("autorun", "no", text)
        if name:
            self._named[name] = made
            self._lua.put(name, made)
        else:
            self._anonymous = made
        return made

    def _delete(self, name: Any) -> None:
        if text(name) not in self._named:
            raise Refused(*NO_SUCH_NAME)
        del self._named[name]
        self._lua.put(name, None)

    def _run_anonymous(self) -> None:
        if self._anonymous is None:
            raise RuntimeFault("attempt to call a nil value")
        self._anonymous.static["run"]()

    def _table(self) -> Node:
        found = Node(cached=False)
        found.add(**self._named)
        return found

    def _catalog(self) -> Any:
        names = iter(list(self._named))
        return lambda *_: next(names, None)
