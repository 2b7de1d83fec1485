"""The Lua of a TSP instrument: Lua 5.0 as scripts of the 2600 and 707 speak it, on an embedded Lua 5.1.

What 5.1 has beyond 5.0 is taken away, so that a script that runs here runs there; nothing leads out of the sandbox,
an endless loop and a full memory end in an error, and messages read as the instrument's own
(``TSP Runtime error at line 1: attempt to index field `channel' (a nil value)``, instruments §2.1).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

from lupa.lua51 import LuaError, LuaMemoryError, LuaRuntime, LuaSyntaxError, lua_type

from drivers.simulated.twins.tsp_errors import Entry, Refused, RuntimeFault
from drivers.simulated.twins.tsp_objects import Node

__all__ = ["Lua"]

INSTRUCTIONS = 50_000_000
"""Lua instructions one chunk may take before it is aborted: a default; the instrument would run for ever."""

MEMORY_BYTES = 32 << 20
"""Memory of all scripts together: a default."""

ABORTED = "program aborted, it does not end"
"""Words of the run-time error of a chunk that takes too many instructions: a default."""

_PLACE = re.compile(r"TSP:(\d+): (.*)", re.DOTALL)
_QUOTED = re.compile(r"'([^'\n]*)'")
_TOKENS = re.compile(
    r"--\[\[.*?(?:\]\]|\Z)|--[^\n]*|\[\[.*?(?:\]\]|\Z)|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|([#%])",
    re.DOTALL,
)

_PRELUDE = """
local call, attribute, assign, limit, aborted = ...
local error, select, type, unpack, setmetatable = error, select, type, unpack, setmetatable
local sethook, rawset, rawget, pairs = debug.sethook, rawset, rawget, pairs
local nodes = setmetatable({}, {__mode = "k"})

local function pack(...) return select("#", ...), {...} end

local function bind(f)
    return function(...)
        local given, values = pack(...)
        for i = 1, given do
            local node = nodes[values[i]]
            if node ~= nil then values[i] = node end
        end
        local count, results = pack(call(f, unpack(values, 1, given)))
        if results[1] then error(results[1], 2) end
        return unpack(results, 2, count)
    end
end

local function proxy(node, static)
    local made = setmetatable({}, {
        __index = function(_, key)
            local found = static[key]
            if found ~= nil then return found end
            local fault, value = attribute(node, key)
            if fault then error(fault, 2) end
            return value
        end,
        __newindex = function(_, key, value)
            local inner = nodes[value]
            if inner ~= nil then value = inner end
            local fault = assign(node, key, value)
            if fault then error(fault, 2) end
        end,
        __call = function(_, ...)
            if static.__run == nil then error("attempt to call a table value", 2) end
            return static.__run(...)
        end,
    })
    nodes[made] = node
    return made
end

local function abort()
    sethook(abort, "", 1)  -- no pcall gets hold of the program again
    error(aborted, 2)
end
local function watch() sethook(abort, "", limit) end

-- Lua 5.0 keeps the length of a table where setn puts it.
local sizes, count = setmetatable({}, {__mode = "k"}), table.getn
table.getn = function(t)
    if type(t) == "table" and type(rawget(t, "n")) == "number" then return rawget(t, "n") end
    return sizes[t] or count(t)
end
table.setn = function(t, n)
    if type(rawget(t, "n")) == "number" then rawset(t, "n", n) else sizes[t] = n end
end
string.gfind = string.gmatch

debug.setmetatable("", nil)
for _, name in pairs({"io", "os", "package", "python", "debug", "coroutine", "require", "module", "dofile",
        "loadfile", "load", "loadstring", "newproxy", "select", "print"}) do
    _G[name] = nil
end
for _, name in pairs({"gmatch", "match", "reverse", "dump"}) do string[name] = nil end
for _, name in pairs({"fmod", "modf", "huge", "sinh", "cosh", "tanh"}) do math[name] = nil end
table.maxn = nil
_VERSION = "Lua 5.0.2"

return bind, proxy, watch, sethook
"""


def _no_attributes(owner: object, name: object, setting: bool) -> object:
    """Keep scripts from looking into objects of this program, should one ever get among them."""
    raise AttributeError("not accessible")


class Lua:
    """One interpreter.

    Parameters
    ----------
    refuse : callable
        Gets the entries for the error queue.
    """

    def __init__(self, refuse: Callable[[Entry], None]) -> None:
        self._refuse = refuse
        self._lua = LuaRuntime(
            register_eval=False,
            register_builtins=False,
            unpack_returned_tuples=True,
            encoding="latin-1",
            attribute_filter=_no_attributes,
            max_memory=MEMORY_BYTES,
        )
        prelude = self._lua.compile(_PRELUDE, name=b"=prelude")
        self._bind, self._proxy, self._watch, self._unwatch = prelude(
            self._guarded,
            lambda node, name: self._guarded(node.read, name),
            lambda node, name, value: self._guarded(node.write, name, value),
            INSTRUCTIONS,
            ABORTED,
        )
        self.globals = self._lua.globals()
        self.put("loadstring", self._loadstring)

    # ---- names ------------------------------------------------------------------------------------------------
    def put(self, name: str, thing: Any) -> None:
        """Make a global of a value, a function or a :class:`Node`; None takes it away."""
        self.globals[name] = self.lua(thing)

    def lua(self, thing: Any) -> Any:
        """Return what stands for a thing inside Lua."""
        if thing is None or isinstance(thing, bool | int | float | str) or lua_type(thing) is not None:
            return thing
        if isinstance(thing, Node):
            if thing.proxy is not None:
                return thing.proxy
            inside = {name: self.lua(each) for name, each in thing.static.items()}
            return thing.made(self._proxy(thing, self._lua.table_from(inside)))
        if isinstance(thing, list):
            return self._lua.table_from([self.lua(each) for each in thing])
        return self._bind(thing)

    def _guarded(self, function: Callable[..., Any], *arguments: Any) -> tuple[Any, ...]:
        """Call a function of the instrument; returns (run-time error or None, results...)."""
        try:
            result = function(*arguments)
        except Refused as error:
            self._refuse(error.entry)
            return (None,)
        except RuntimeFault as error:
            return (str(error),)
        except TypeError:
            try:
                inspect.signature(function).bind(*arguments)
            except TypeError as error:
                few = "missing" in str(error)
                self._refuse(
                    Entry(-109, "Missing parameter") if few else Entry(-108, "Parameter not allowed")
                )
            else:
                self._refuse(Entry(-104, "Data type error"))
            return (None,)
        return (None, *map(self.lua, result)) if isinstance(result, tuple) else (None, self.lua(result))

    # ---- chunks -------------------------------------------------------------------------------------------------
    def compile(self, source: str) -> Any:
        """Return the function that a chunk is, or None where the queue says why it is none (-285)."""
        found, line, words = self._compiled(source)
        if found is None:
            self._refuse(Entry(-285, f"TSP Syntax error at line {line}: {words}"))
        return found

    def _compiled(self, source: str) -> tuple[Any, int, str]:
        if source.startswith("\x1b"):  # compiled code could leave the sandbox
            return None, 1, "unexpected symbol near `char(27)'"
        for token in _TOKENS.finditer(source):
            if token.group(1):
                line = source.count("\n", 0, token.start()) + 1
                return None, line, f"unexpected symbol near `{token.group(1)}'"
        try:
            return self._lua.compile(source, name=b"=TSP"), 0, ""
        except LuaSyntaxError as error:
            return None, *_told(str(error))

    def run(self, function: Any, *arguments: Any) -> bool:
        """Run a function; false where a run-time error ended it, which is in the queue then (-286)."""
        self._watch()
        try:
            function(*arguments)
        except LuaMemoryError:
            self._lua.set_max_memory(0)
            self.globals.collectgarbage()
            self._lua.set_max_memory(MEMORY_BYTES)
            self._refuse(Entry(-225, "Out of memory"))
            return False
        except LuaError as error:
            line, words = _told(str(error))
            self._refuse(Entry(-286, f"TSP Runtime error at line {line}: {words}"))
            return False
        finally:
            self._unwatch()
        return True

    def _loadstring(self, source: Any, name: Any = None) -> Any:
        if not isinstance(source, str):
            raise RuntimeFault("bad argument #1 to `loadstring' (string expected)")
        found, line, words = self._compiled(source)
        return found if found is not None else (None, f"TSP:{line}: {words}")


def _told(message: str) -> tuple[int, str]:
    """Return the line and the words of an error message of Lua 5.1 in the quotes of Lua 5.0."""
    message = message.partition("\nstack traceback")[0]
    place = _PLACE.match(message)
    line, words = (int(place.group(1)), place.group(2)) if place else (1, message)
    if words.startswith(("attempt to", "bad argument")) or "expected" in words or "near" in words:
        words = _QUOTED.sub(r"`\1'", words)
    return line, words
