"""The manual is run: each page is a script, and what it says of options, files and links is checked.

A page's blocks are executed in order in an empty folder that holds the examples of the repository with small
chips. A YAML block with a title becomes a file of that name; Python blocks share one namespace; ``labkit``
commands run, and the output shown after them must be part of what they print ("..." stands for anything). A
comment ``<!-- not run: reason -->`` before a block leaves it out; its commands must still have the options
they use.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import types
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOT_RUN_AT_MOST = 6
PORT = "5025"
CONSOLE = ("console", "bash")
_FENCE = re.compile(r"^(```+)\s*(\w*)\s*(.*?)\s*$")
_SKIP = re.compile(r"^<!-- not run: (.+) -->$")
_TITLE = re.compile(r'title="([^"]+)"')
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_OTHER_PROGRAMS = {"pip", "git", "cd", "python3", "source", "nohup"}


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    title: str | None
    text: str
    skipped: str | None

    @property
    def place(self) -> str:
        return f"{name(self.page)}:{self.line}"


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@cache
def blocks(page: Path) -> tuple[Block, ...]:
    found: list[Block] = []
    lines = page.read_text("utf-8").splitlines()
    skipped, start, fence, language, title = None, 0, "", "", None
    for number, line in enumerate(lines, 1):
        match = _FENCE.match(line)
        if not fence and match:
            fence, start, language = match[1], number, match[2]
            given = _TITLE.search(match[3])
            title = given[1] if given else None
        elif fence and line.rstrip() == fence:
            text = "\n".join(lines[start : number - 1]) + "\n"
            found.append(Block(page, start, language, title, text, skipped))
            skipped, fence = None, ""
        elif not fence and line.strip():
            match = _SKIP.match(line.strip())
            skipped = match[1] if match else None
    assert not fence, f"{name(page)}:{start}: the block has no end"
    return tuple(found)


def prose(page: Path) -> str:
    """The page without its code."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"(?ms)^```.*?^```\s*$", "", page.read_text("utf-8")))


def commands(block: Block) -> list[tuple[list[str], str]]:
    """Command lines of a console block, each with the output shown after it."""
    found: list[tuple[list[str], list[str]]] = []
    text = block.text.replace("\\\n", " ")
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((shlex.split(line[2:], comments=True), []))
        elif found:
            found[-1][1].append(line)
        else:
            pytest.fail(f"{block.place}: a console block begins with '$ ' and a command")
    return [(words, "\n".join(output).strip()) for words, output in found]


RUNNABLE = [
    page
    for page in PAGES
    if any(block.language in ("python", *CONSOLE) and not block.skipped for block in blocks(page))
]


# ---- running a page


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the examples, their chips made small."""
    (tmp_path / "examples").mkdir()
    for file in (ROOT / "examples").glob("*.yaml"):
        text = re.sub(r"(?m)^(\s+(?:rows|cols)): 1024$", r"\1: 128", file.read_text("utf-8"))
        (tmp_path / "examples" / file.name).write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def labkit_program() -> list[str]:
    return [sys.executable, "-m", "labkit.cli"]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "110", "NO_COLOR": "1", "TERM": "dumb"}


def run_labkit(words: list[str], place: str) -> str:
    done = subprocess.run(
        [*labkit_program(), *words[1:]],
        check=False,
        capture_output=True,
        text=True,
        env=environment(),
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{place}: {shlex.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextmanager
def served(words: list[str], place: str) -> Iterator[str]:
    """A `labkit simulate` command at a free port, running until the end of its page; gives the port."""
    arguments = ["0" if word == PORT else word for word in words[1:]]
    process = subprocess.Popen(
        [*labkit_program(), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
        stdin=subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        address = re.search(r"::(\d+)::SOCKET", process.stdout.readline())
        assert address, f"{place}: {shlex.join(words)} serves nothing"
        yield address[1]
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate()


def matches(shown: str, printed: str) -> bool:
    """Whether the lines shown in the manual are printed in that order; "..." is anything."""

    def plain(text: str) -> str:
        return "\n".join(" ".join(line.split()) for line in text.splitlines())

    pattern = ".*?".join(re.escape(part) for part in plain(shown).split("..."))
    return re.search(pattern, plain(printed), re.DOTALL) is not None


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", RUNNABLE, ids=name)
def test_a_page_runs_from_top_to_bottom(
    page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    module = types.ModuleType("page_of_the_manual")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    port = PORT
    with ExitStack() as servers:
        for block in (block for block in blocks(page) if not block.skipped):
            text = block.text.replace(f"127.0.0.1::{PORT}", f"127.0.0.1::{port}")
            if block.language == "python":
                exec(compile("\n" * block.line + text, name(page), "exec"), module.__dict__)  # noqa: S102
            elif block.title is not None:
                Path(block.title).write_text(text, "utf-8")
            elif block.language in CONSOLE:
                for words, shown in commands(block):
                    if words[:2] == ["labkit", "simulate"]:
                        port = servers.enter_context(served(words, block.place))
                    elif words[0] == "labkit":
                        printed = run_labkit(words, block.place)
                        assert matches(shown, printed), f"{block.place} prints:\n{printed}"


def test_few_blocks_are_not_run() -> None:
    skipped = [f"{block.place}: {block.skipped}" for page in PAGES for block in blocks(page) if block.skipped]

    assert len(skipped) <= NOT_RUN_AT_MOST, skipped


# ---- commands

CONSOLES = [block for page in PAGES for block in blocks(page) if block.language in CONSOLE]


@pytest.mark.parametrize("block", CONSOLES, ids=lambda block: block.place)
def test_commands_and_their_options_exist(block: Block) -> None:
    for words, _ in commands(block):
        if words[0] == "labkit":
            check_options(words, block.place)
        elif words[0] == "make":
            rules = re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"))
            targets = [word for word in words[1:] if "=" not in word]
            assert set(targets) <= set(rules), f"{block.place}: {words}"
        else:
            assert words[0] in _OTHER_PROGRAMS, f"{block.place}: {words[0]} is no program the manual knows"


def check_options(words: list[str], place: str) -> None:
    command = command_tree()
    rest = words[1:]
    while rest and hasattr(command, "commands"):
        assert rest[0] in command.commands or rest[0].startswith("-"), f"{place}: no command {rest[0]!r}"
        if rest[0] in command.commands:
            command = command.commands[rest[0]]
        rest = rest[1:]
    known = {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    for word in rest:
        if word.startswith("--"):
            assert word.partition("=")[0] in known | {"--help"}, f"{place}: {words[1]} has no option {word}"


@cache
def command_tree() -> Any:
    from typer.main import get_command

    from labkit.cli import app

    return get_command(app)


# ---- links


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in _LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.is_file(), f"{name(page)} links to {target}"
        if "docs" in page.relative_to(ROOT).parts:
            assert file.is_relative_to(ROOT / "docs"), f"{name(page)}: {target} lies outside the manual"
        if anchor:
            assert anchor in anchors(file), f"{name(page)}: {name(file)} has no heading #{anchor}"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"(?m)^#+ (.+)$", prose_with_code(page))
    return {
        re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.lower())).strip("-") for heading in headings
    }


def prose_with_code(page: Path) -> str:
    return re.sub(r"(?ms)^```.*?^```\s*$", "", page.read_text("utf-8")).replace("`", "")


def test_the_site_has_every_page() -> None:
    def pages(entry: Any) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        elif isinstance(entry, list):
            for part in entry:
                yield from pages(part)
        else:
            for part in entry.values():
                yield from pages(part)

    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))
    written = {page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md")}

    assert sorted(pages(site["nav"])) == sorted(written)


# ---- completeness


def reference(page: str) -> str:
    return (ROOT / "docs" / "reference" / page).read_text("utf-8")


def test_the_bench_file_page_names_every_key() -> None:
    from drivers.bench import (
        BenchFile,
        BenchInstrument,
        DiscreteChip,
        Envelope,
        Instrument,
        References,
        Simulated,
        SimulatedLimits,
        SimulatedTwin,
    )

    text = reference("bench-file.md")
    sections = (
        BenchFile,
        Instrument,
        BenchInstrument,
        DiscreteChip,
        Simulated,
        SimulatedLimits,
        SimulatedTwin,
    )
    for section in (*sections, Envelope, References):
        for field, info in section.model_fields.items():
            key = info.validation_alias or field
            assert re.search(rf"(?m)^\| `{key}` \|", text), f"{section.__name__}.{key}"


def test_the_instruments_page_is_what_the_drivers_say() -> None:
    import runpy

    written = runpy.run_path(str(ROOT / "tools" / "instrument_pages.py"))
    assert reference("instruments.md") == written["instruments_page"](), "run tools/instrument_pages.py"


def test_the_device_card_page_names_every_law_form_and_parameter() -> None:
    from calibration import DeviceCard
    from calibration.forms import LAW_FORMS

    text = reference("device-card.md")
    for law, forms in LAW_FORMS.items():
        for form, kind in forms.items():
            assert f"`{law}`" in text, law
            assert f"`{form}`" in text, form
            for parameter in (field.name for field in fields(kind)):
                assert f"`{parameter}`" in text or parameter in ("g_max_s", "t0_s"), f"{law}.{parameter}"
    for number in dict(DeviceCard.load("ibm90").numbers()).values():
        assert f"`{number.status}`" in text
        assert f"`{number.unit}`" in text


def test_the_errors_page_names_every_error_and_its_exit_code() -> None:
    import importlib
    import pkgutil

    import drivers.instruments
    from calibration.errors import CalibrationError
    from drivers.errors import DriverError
    from labkit.errors import LabkitError

    instruments = [
        found.name for found in pkgutil.iter_modules(drivers.instruments.__path__, "drivers.instruments.")
    ]
    homes = ("drivers.bench", "drivers.discrete", "drivers.recording", "drivers.simulated.state_file")
    for module in (*homes, "labkit.programming.settings", *instruments):
        importlib.import_module(module)  # some define an error of their own

    def all_of(root: type[Exception]) -> Iterator[type[Exception]]:
        if root.__module__.partition(".")[0] in ("labkit", "drivers", "calibration"):
            yield root
            for child in root.__subclasses__():
                yield from all_of(child)

    text = reference("errors.md")
    for root in (LabkitError, DriverError, CalibrationError):
        for kind in all_of(root):
            row = re.search(rf"(?m)^\| `{kind.__name__}` \| ([^|]+) \|", text)
            assert row, kind
            code = "128 + signal" if kind.__name__ == "Interrupted" else str(getattr(kind, "exit_code", 1))
            assert row[1] == code, kind


def test_the_protocol_page_names_every_command_and_fault_of_the_simulated_board() -> None:
    from drivers.simulated import (
        controller_array_commands,
        controller_mvm_commands,
        controller_program_commands,
        controller_pulse_commands,
        controller_read_commands,
        controller_sim_commands,
        controller_system_commands,
    )
    from drivers.simulated.faults import FAULT_PARAMETERS

    text = reference("controller-protocol-support.md")
    lists = (
        controller_array_commands.ARRAY_COMMANDS,
        controller_mvm_commands.MVM_COMMANDS,
        controller_program_commands.PROGRAM_COMMANDS,
        controller_pulse_commands.PULSE_COMMANDS,
        controller_read_commands.READ_COMMANDS,
        controller_sim_commands.SIM_COMMANDS,
        controller_system_commands.SYSTEM_COMMANDS,
    )
    for header in (command.header for commands in lists for command in commands):
        root = header.rstrip("?")
        if root.startswith("STAT"):  # three registers of one shape
            root = re.sub(r"\[.*|:CONDition|:ENABle", "", root)
        assert f"`{root}" in text, header
    for fault in FAULT_PARAMETERS:
        assert f"`{fault}" in text, fault


def test_the_command_line_page_names_every_command_and_option() -> None:
    text = reference("command-line.md")

    def walk(command: Any, path: str) -> None:
        for part, child in getattr(command, "commands", {}).items():
            walk(child, f"{path} {part}")
        if not hasattr(command, "commands"):
            section = re.search(rf"(?ms)^## `{path}\b.*?(?=^## |\Z)", text)
            assert section, path
            for parameter in command.params:
                for option in (word for word in parameter.opts if word.startswith("--")):
                    assert f"`{option}" in section[0], f"{path} {option}"

    walk(command_tree(), "labkit")


@pytest.fixture
def small_run(folder: Path) -> Path:
    """A run with everything a run may hold, named as the manual names it."""
    import numpy as np

    from calibration import DeviceCard
    from labkit import open_station
    from labkit.program_run import program_run
    from labkit.programming import ProgramSettings

    class Judge:
        def accuracy(self, weights: Any) -> float:
            return float(np.mean(weights["layer"] > 0))

    with open_station(folder / "examples" / "mock.yaml") as station:
        run = program_run(
            station,
            {"layer": np.random.default_rng(2).normal(0, 0.3, (20, 10))},
            card=DeviceCard.load("ibm90"),
            settings=ProgramSettings(),
            out="first",
            inputs={},
            judge=Judge(),
        )
    return run.path


def test_the_run_directory_page_is_true_of_a_run(small_run: Path) -> None:
    from labkit import Run

    page = ROOT / "docs" / "reference" / "run-directory.md"
    text, run = page.read_text("utf-8"), Run.open(small_run)
    for name_of_table in run.tables():
        for column in run.table(name_of_table).columns:
            assert f"`{column}`" in text, f"{name_of_table}: {column}"
    for field in (*run.manifest, *run.manifest["figures"]):
        assert f"`{field}`" in text, field
    (code,) = (block.text for block in blocks(page) if block.language == "python")
    exec(compile(code, name(page), "exec"), {})  # noqa: S102
