"""Typed quantities and shown progress, without a process of their own."""

from __future__ import annotations

import errno
import io

import pytest
import typer

from labkit.cli.progress_views import Bars, Lines
from labkit.cli.quantities import ages, margin, seconds


@pytest.mark.parametrize(
    ("text", "found_s"),
    [
        ("25s", 25.0),
        ("1.5 h", 5400.0),
        ("10min", 600.0),
        ("50 ns", 50e-9),
        ("1d", 86_400.0),
        ("2 weeks", 1_209_600.0),
        ("1wk", 604_800.0),
        ("1 mo", 2_629_800.0),
        ("1y", 31_557_600.0),
        ("1e3 s", 1000.0),
    ],
)
def test_times_have_units(text: str, found_s: float) -> None:
    assert seconds(text, "--at") == found_s


def test_ages_are_a_list_in_order_without_repeats() -> None:
    assert ages("1d, 25s,1h,3600s") == [25.0, 3600.0, 86_400.0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "25",
        "1,5h",
        "1h,",
        "5 min ago",
        "25 uS",
        "1m",
        "0s",
        "-1h",
        "1h;1d",
        "nan",
        "inf s",
        "101y",
    ],
)
def test_nonsense_is_no_age(text: str) -> None:
    with pytest.raises(typer.BadParameter) as refusal:
        ages(text)
    assert refusal.value.param_hint == "--at"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0.3uS", {"margin_s": 0.3e-6}),
        ("300 nS", {"margin_s": 300e-9}),
        ("0.5sigma", {"margin_sigmas": 0.5}),
        ("1 sigma", {"margin_sigmas": 1.0}),
    ],
)
def test_a_margin_is_a_conductance_or_spreads(text: str, found: dict[str, float]) -> None:
    assert margin(text) == pytest.approx(found)


@pytest.mark.parametrize("text", ["", "0.5", "0.5us", "sigma", "0sigma", "-1uS", "0.5sigmas", "5%"])
def test_nonsense_is_no_margin(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"0\.5uS"):
        margin(text)


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_short_work_writes_no_lines() -> None:
    clock, lines = Clock(), list[str]()
    shown = Lines(lines.append, clock)

    shown.start("Programming", 100)
    clock.now_s += 1.9
    shown.advance(50, "pass 1")
    shown.finish()

    assert lines == []


def test_long_work_writes_a_line_now_and_then_with_the_time_left() -> None:
    clock, lines = Clock(), list[str]()
    shown = Lines(lines.append, clock)

    shown.start("Programming", 100)
    for step in range(1, 26):
        clock.now_s += 1.0
        shown.advance(4 * step, f"pass {step}")
    shown.finish()
    shown.start("Reading back", 5)
    shown.finish()

    plain = [line.replace("\u00a0", " ") for line in lines]
    assert plain == [
        "Programming: 8 %, about 23 s left, pass 2",
        "Programming: 48 %, about 13 s left, pass 12",
        "Programming: 88 %, about 3 s left, pass 22",
        "Programming: done in 25 s, pass 25",
    ]


def test_failed_work_writes_no_last_line() -> None:
    clock, lines = Clock(), list[str]()
    shown = Lines(lines.append, clock)

    shown.start("Programming", 0)
    clock.now_s += 5.0
    shown.advance(0)
    shown.drop()
    shown.finish()

    assert len(lines) == 1


def test_work_that_fails_is_not_called_done() -> None:
    from contextlib import suppress

    from rich.console import Console

    screen, clock, lines = io.StringIO(), Clock(), list[str]()
    console = Console(file=screen, force_terminal=True, color_system=None, width=100)
    for shown in (Lines(lines.append, clock), Bars(console, clock)):
        with suppress(RuntimeError):
            try:
                shown.start("Programming", 10)
                clock.now_s += 60.0
                raise RuntimeError
            finally:
                shown.finish()

    assert lines == []
    assert "✓" not in screen.getvalue()


def test_nobody_to_tell_does_not_end_the_work() -> None:
    from rich.console import Console

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.EIO, "the terminal is gone")

    clock, gone = Clock(), Gone()
    for shown in (Lines(lambda line: print(line, file=gone), clock), Bars(Console(file=gone), clock)):
        shown.start("Programming", 10)
        clock.now_s += 60.0
        shown.advance(5)
        shown.finish()


def test_bars_say_how_far_how_long_and_how_it_goes() -> None:
    from rich.console import Console

    screen, clock = io.StringIO(), Clock()
    console = Console(file=screen, force_terminal=True, color_system=None, width=100)
    shown = Bars(console, clock)

    shown.start("Programming", 200)
    shown.advance(120, "pass 3")
    clock.now_s += 12.0
    shown.start("Reading back", 4)
    shown.drop()
    shown.finish()

    text = screen.getvalue().replace("\u00a0", " ")
    assert "60%" in text
    assert "Programming  12 s  pass 3" in text
    assert "Reading back  " not in text.split("Programming  12 s  pass 3")[1].splitlines()[-1]
