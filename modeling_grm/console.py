"""What people see: a table of scores with critiques, progress on stderr, and tables of templates and settings.

Knows rich and result dictionaries; knows nothing about models. Critiques speak of the order they were shown; their
response numbers are mapped to the caller's before they are printed.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.markup import escape
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from .parsing_grm import remap_mentions

ERR = Console(stderr=True, highlight=False)
OUT = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
BAR_WIDTH = 10


def excerpt(text: str, limit: int) -> str:
    """One line of at most `limit` characters, without control characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


def printable(text: str) -> str:
    """The text without control characters that could steer a terminal; line breaks stay."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def progress(total: int | None, doing: str = "scoring") -> Progress:
    """A bar on stderr with rows done and judgements and tokens a second."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
    )
    shown = Progress(*columns, console=ERR, transient=True)
    shown.add_task(doing, total=total, rate="")
    return shown


def _score_bar(score: float | None) -> Text:
    if score is None:
        return Text("-")
    filled = round(score / 10 * BAR_WIDTH)
    return Text("█" * filled + "░" * (BAR_WIDTH - filled))


def _table(responses: Sequence[str], result: Mapping[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title, options in (("", {}), ("score", {"justify": "right"}), ("", {}), ("response", {"overflow": "fold"})):
        table.add_column(title, **options)  # type: ignore[arg-type]
    scores = result["scores"] or [None] * len(responses)
    for number, (text, score) in enumerate(zip(responses, scores, strict=True), 1):
        mark = "*" if result["best"] == number - 1 else " "
        shown = "-" if score is None else f"{score:.2f}"
        table.add_row(f"{mark}{number}", shown, _score_bar(score), Text(excerpt(text, 140)))
    return table


def closest_samples(result: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """The voters' samples whose scores lie closest to the vote, best first."""
    voters = [result["samples"][at] for at in result["voters"]]
    means = result["scores"] or []
    return sorted(voters, key=lambda s: sum(abs(a - b) for a, b in zip(s["scores"], means, strict=True)))[:count]


def _critique(sample: Mapping[str, Any]) -> Padding:
    text = printable(remap_mentions(sample["text"].strip(), sample["order"]))
    scores = ", ".join(map(str, sample["scores"]))
    body = text.rsplit("\nScores:", 1)[0]
    return Padding(Text(f"{body}\nScores: {scores}", style="dim"), (0, 0, 0, 4))


def _verdict(result: Mapping[str, Any]) -> str:
    readable = f"{result['n_valid']} of {result['k']} judgements readable"
    failures = {name: count for name, count in result["outcomes"].items() if name != "ok"}
    if failures:
        readable += " (" + ", ".join(f"{count} {name}" for name, count in failures.items()) + ")"
    if result.get("stopped"):
        readable += f", stopped: {result['stopped']}"
    if result.get("abstained"):
        return f"no score: {result['abstained']}; {readable}"
    if result["scores"] is None:
        return f"no score: {readable}, below the quorum"
    if len(result["scores"]) == 1:
        return readable
    best = "a tie" if result["best"] is None else f"best: response {result['best'] + 1}"
    probability = (result.get("confidence") or {}).get("probability")
    sure = "" if probability is None else f" (right with probability {probability:.2f})"
    return f"{best}{sure}; {readable}"


def print_result(
    name: str, turns: Sequence[Mapping[str, str]], responses: Sequence[str], result: Mapping[str, Any], critiques: int
) -> None:
    """One scored item: the query, a table of the responses, the verdict, and the critiques closest to the vote."""
    parts: list[Any] = [
        Rule(escape(excerpt(name, 60)), align="left", style="dim"),
        Text(excerpt(turns[-1]["content"], 300), style="bold"),
        _table(responses, result),
        Text(_verdict(result)),
        *map(_critique, closest_samples(result, critiques)),
    ]
    OUT.print(Group(*parts))


def print_rows(title: str, columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> None:
    """A table; `columns` are key -> heading, numbers are right-aligned and shown with three decimals."""
    table = Table(title=escape(title), title_justify="left", box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in columns.values():
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(*(Text(_cell(row.get(name))) for name in columns))
    OUT.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def print_pairs(title: str, pairs: Mapping[str, Any]) -> None:
    """A two-column table of names and values."""
    table = Table(title=escape(title), title_justify="left", box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in pairs.items():
        table.add_row(name, Text("-" if value is None else str(value)))
    OUT.print(table)
