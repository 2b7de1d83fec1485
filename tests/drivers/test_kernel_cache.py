"""The cache of compiled kernels knows every source it depends on; an edit of a forgotten one would go unseen."""

from __future__ import annotations

import re
from pathlib import Path

from drivers.simulated import jit

HERE = Path(jit.__file__).parent
IMPORT = re.compile(
    r"^from drivers\.simulated(?:\.(?P<module>[\w.]+))? import (?P<names>\([^)]*\)|[^\n]*)", re.MULTILINE
)


def sources_of(source: Path) -> set[str]:
    """Names of the files of the simulated chip that a file imports."""
    found: set[str] = set()
    for match in IMPORT.finditer(source.read_text("utf-8")):
        modules = [match["module"]] if match["module"] else re.findall(r"\w+", match["names"])
        found.update(f"{module.replace('.', '/')}.py" for module in modules)
    return found


def test_every_file_with_a_kernel_and_all_it_imports_are_in_the_digest() -> None:
    waiting = {str(path.relative_to(HERE)) for path in HERE.rglob("*.py") if "jit.py" in sources_of(path)}
    assert {"read_kernel.py", "world/circuit_kernel.py"} <= waiting
    needed: set[str] = set()
    while waiting:
        name = waiting.pop()
        needed.add(name)
        waiting |= sources_of(HERE / name) - needed
    assert needed - set(jit._SOURCES) == set()
    assert {name for name in jit._SOURCES if not (HERE / name).exists()} == set()
