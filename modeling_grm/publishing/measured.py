"""A report's figures for a card, and its entries for the model's page; nothing is typed by hand.

    {"judge": {"all": {"items": 399, "value": 0.61, "low": 0.57, "high": 0.66}}, "stage": "grpo", "k": 8}
    -> Figure("judge: all", 0.61, 0.57, 0.66, 399), how {"stage": "grpo", "k": 8}

Reads what `grm bench`, `recipes/eval/stages.py` and `recipes/meta_rm/train.py` write. Knows nothing about cards.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hub_cards import Figure, Measured

from ..types_grm import InvalidInput


def measured(path: Path) -> tuple[Measured, dict[str, str]]:
    """(figures for the card, path in the repository -> YAML of the Hub's evaluation entries) of a report file.

    Raises:
        InvalidInput: it cannot be read, or has no figure with an interval.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"report: {path} cannot be read ({error}); give the report.json of `grm bench`") from error
    if isinstance(report, dict) and "benchmarks" in report:
        return _bench(path)
    return found_in(report, str(path)), {}


def _bench(path: Path) -> tuple[Measured, dict[str, str]]:
    from ..reports import entry_files, read_report

    report = read_report(path)
    judge = report["judge"]
    settings = judge.get("settings") or {}
    how = {name: judge[name] for name in ("kind", "revision", "meta_model") if judge.get(name) is not None}
    rules = sorted({part["vote"]["rule"] for part in report["benchmarks"].values() if part["vote"]})
    how |= {"rule": ", ".join(rules)} if rules else {}
    how |= {name: value for name, value in settings.items() if value is not None}
    how |= {"modeling-grm": report["modeling_grm"]}
    return Measured(tuple(_headlines(report["benchmarks"])), how), entry_files(report)


def _headlines(benchmarks: Mapping[str, Any]) -> Iterator[Figure]:
    for name, part in benchmarks.items():
        shown = f"{name} (partial)" if part["partial"] else name
        items = part["rows"]["items"]
        for label, figure in (("", part["headline"]), (", strict accuracy", part["ours"].get("strict"))):
            if figure and figure.get("value") is not None:
                said = f"{shown}: {figure['name']}" if "name" in figure else f"{shown}{label}"
                yield Figure(said, figure["value"], figure.get("low"), figure.get("high"), items)


def found_in(report: Any, name: str) -> Measured:
    """Every figure with an interval in a report, named by its place, and the settings at its top.

    Raises:
        InvalidInput: there is none.
    """
    figures = tuple(_figures(report, ()))
    if not figures:
        raise InvalidInput(f"report: {name} has no figure with an interval; give the report.json of `grm bench`")
    return Measured(figures, {key: value for key, value in report.items() if isinstance(value, (str, int, float))})


def _figures(found: Any, place: tuple[str, ...]) -> Iterator[Figure]:
    if not isinstance(found, Mapping):
        return
    if place and {"value", "low", "high"} <= set(found):
        items = found.get("items")
        name = ": ".join(place).replace("_", " ")
        yield Figure(name, found["value"], found["low"], found["high"], items if isinstance(items, int) else None)
        return
    for name, inner in found.items():
        yield from _figures(inner, (*place, str(name)))
