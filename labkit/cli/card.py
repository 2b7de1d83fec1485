"""``labkit card list``, ``labkit card show`` and ``labkit card check``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from labkit.cli.options import Json
from labkit.cli.output import examples

if TYPE_CHECKING:
    from rich.table import Table

    from calibration import DeviceCard, LawSection, Number

__all__ = ["card_app"]

card_app = typer.Typer(
    help="Look at device cards.",
    epilog=examples("labkit card list", "labkit card show ibm90"),
    no_args_is_help=True,
    rich_markup_mode="rich",
)

Card = Annotated[str, typer.Argument(metavar="CARD", help="Name of a preset, or path of a card file.")]

_STYLES = {
    "published": "green",
    "reported": "cyan",
    "derived": "blue",
    "fitted": "magenta",
    "default": "yellow",
}

_HOUR_S, _DAY_S = 3600.0, 86_400.0


@card_app.command("list", epilog=examples("labkit card list"))
def list_presets(as_json: Json = False) -> None:
    """Print the cards that come with labkit, one line each."""
    from calibration import DeviceCard, preset_names
    from labkit.cli.output import print_json, say

    cards = [DeviceCard.load(name) for name in preset_names()]
    if as_json:
        print_json({"cards": [{"name": card.name, "description": card.description} for card in cards]})
    else:
        width = max(len(card.name) for card in cards)
        for card in cards:
            say(f"{card.name:<{width}}  {card.description}")


@card_app.command(epilog=examples("labkit card show ibm90"))
def show(card: Card, as_json: Json = False) -> None:
    """Print every number of a card with its unit, status and source."""
    from calibration import DeviceCard
    from labkit.cli.output import print_json

    found = DeviceCard.load(card)
    if as_json:
        print_json(_content(found))
    else:
        _print(found)


@card_app.command(
    epilog=examples(
        "labkit card check ibm90",
        "labkit card check chip12.yaml --quick --html check.html",
        "labkit card check ibm90 --only T6,P1",
        "labkit card check chip12.yaml --file-only",
    )
)
def check(
    card: Card,
    file_only: Annotated[bool, typer.Option("--file-only", help="Only whether the file is sound.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Reduced samples, half a minute.")] = False,
    only: Annotated[str, typer.Option(metavar="ROWS", help="Only these rows, such as T6,P1.")] = "",
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, max=2**32 - 1, help="Another seed is another chip.")
    ] = 1,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with figures, replacing an earlier one.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the rows as Markdown.")] = False,
    as_json: Json = False,
) -> None:
    """Check a card: whether its file is sound, and whether the mock keeps its laws.

    The card becomes a simulated chip that is pulsed, read and programmed as any
    other, and every number is compared with the published one, or with what
    the card's own laws say. Exit code 1 where a row is missed without an
    explanation. Takes minutes; --file-only takes none.
    """
    from calibration import DeviceCard
    from labkit.cli.output import print_json, say

    if file_only and (quick or only or html is not None or markdown):
        raise typer.BadParameter(
            "it makes no chip: leave --quick, --only, --html and --markdown out", param_hint="--file-only"
        )
    if as_json and markdown:
        raise typer.BadParameter("choose one of --json and --markdown", param_hint="--markdown")
    if html is not None and html.is_dir():
        raise typer.BadParameter(f"{html} is a folder; name a file in it", param_hint="--html")
    found = DeviceCard.load(card)
    numbers = Counter(number.status for _, number in found.numbers())
    facts = {"card": card, "name": found.name, "laws": list(found.laws), "numbers": numbers}
    if file_only:
        if as_json:
            print_json({**facts, "ok": True})
        else:
            say(f"{card} is a sound device card; {_census(found)}")
        return
    from labkit.acceptance import check_card
    from labkit.acceptance.suite import unknown_ids
    from labkit.cli.acceptance import content, print_rows
    from labkit.cli.progress import progress

    wanted = [word.strip().upper() for word in only.split(",") if word.strip()]
    if problem := unknown_ids(wanted):
        raise typer.BadParameter(problem, param_hint="--only")
    with progress() as shown:
        result = check_card(found, seed=seed, quick=quick, only=wanted, progress=shown)
    if html is not None:
        from labkit.acceptance.page import write_page

        write_page(result, html)
    if as_json:
        print_json({**facts, **content(result), "html": html})
    elif markdown:
        from labkit.acceptance.markdown import tables

        say(tables(result).rstrip())
    else:
        print_rows(result, html)
    if not result.ok:
        raise typer.Exit(1)


def _content(card: DeviceCard) -> dict[str, Any]:
    return {
        "name": card.name,
        "description": card.description,
        "schema": card.schema,
        "fingerprint": card.fingerprint(),
        "laws": {
            name: {"form": law.form, "validity": law.validity.model_dump(mode="json")}
            for name, law in card.laws.items()
        },
        "numbers": [
            {
                "name": name,
                "value": number.value,
                "unit": number.unit,
                "interval": number.interval,
                "level": number.level,
                "status": number.status,
                "source": number.source,
            }
            for name, number in card.numbers()
        ],
    }


class _Sources:
    """The sources of a card, numbered as they come; many numbers share one."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def number(self, text: str) -> int:
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text) + 1


def _print(card: DeviceCard) -> None:
    from rich.text import Text

    from labkit.cli.output import grid, say, stdout

    sources = _Sources()
    table = grid("number", "value", "status", "source")
    _add(table, "g_max", card.g_max, sources)
    _add(table, "t0", card.t0, sources)
    for name, law in card.laws.items():
        table.add_section()
        table.add_row(Text.assemble((name, "bold"), ("  " + law.form, "dim")))
        for label, ends in _validity(law):
            table.add_row(Text(f"  {label}", style="dim"), Text(ends, style="dim"))
        for label, entry in _labelled(law):
            _add(table, f"  {label}", entry, sources)
    say(card.name, style="bold")
    say(card.description)
    stdout().print(table)
    for position, text in enumerate(sources.texts, 1):
        say(f"[{position}] {text}")
    say()
    say(_census(card))


def _census(card: DeviceCard) -> str:
    counts = Counter[str](number.status for _, number in card.numbers())
    said = ", ".join(f"{counts[status]} {status}" for status in _STYLES if counts[status])
    return f"{len(card.laws)} laws, {counts.total()} numbers: {said}"


def _validity(law: LawSection) -> Iterator[tuple[str, str]]:
    """Say where a law may be trusted."""
    for label, ends, unit in (
        ("valid for g", law.validity.g, "1"),
        ("valid for ages", law.validity.age_s, "s"),
        ("valid at", law.validity.temperature_k, "K"),
    ):
        if ends is not None:
            low, high = (_short(end, unit) for end in ends)
            yield label, low if low == high else f"{low} .. {high}"


def _labelled(law: LawSection) -> Iterator[tuple[str, Number | str]]:
    """Name every number of a law: those of a list by their place, those of a table by their conductance."""
    for name, entry in law.parameters.items():
        if isinstance(entry, str):
            yield name, entry
            continue
        points: tuple[float, ...] | None = getattr(entry, "g", None)
        for position, (part, number) in enumerate(entry.numbers()):
            if not part:
                yield name, number
            elif points is None:
                yield f"{name} {part}", number
            else:
                yield f"{name} at g = {points[position]:g}", number


def _add(table: Table, label: str, entry: Number | str, sources: _Sources) -> None:
    from rich.text import Text

    if isinstance(entry, str):
        table.add_row(label, Text(entry, style="dim"))
        return
    status = Text(entry.status, style=_STYLES.get(entry.status, ""))
    table.add_row(label, _value(entry), status, f"[{sources.number(entry.source)}]")


def _value(number: Number) -> str:
    text = _short(number.value, number.unit)
    if number.interval is not None:
        low, high = (_short(end, number.unit) for end in number.interval)
        level = "" if number.level is None else f" ({number.level:.0%})"
        text += f"  {low} .. {high}{level}"
    return text


def _short(value: float, unit: str) -> str:
    """Write a number with six digits at most; ``--json`` has all of them."""
    from calibration.units import render

    rounded = float(f"{value:.6g}")
    if unit == "s" and rounded >= _HOUR_S:
        for name, seconds in (("d", _DAY_S), ("h", _HOUR_S)):
            if rounded % seconds == 0.0:
                return f"{rounded / seconds:g} {name}"
        return f"{rounded:g} s"
    return f"{rounded:g}" if unit == "1" else render(rounded, unit).replace(" u", " µ")
