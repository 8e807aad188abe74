"""`grm compare`: two judges on the same items, from their stores.

grm compare runs/a runs/b --k 1,2,4,8 --rule sum,meta_topk
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from .console import ERR, print_rows
from .offline import stored_runs, whole_numbers
from .options import Json, Quorum
from .rules_grm import find_rule

POINT = {
    "part": "items of", "rule": "vote", "k": "k", "items": "items", "a": "A", "b": "B", "difference": "B - A",
    "low": "95% from", "high": "to", "a_better": "A better", "b_better": "B better", "p": "sign test p",
}  # fmt: skip


def _sources(folder: Path) -> dict[str, str]:
    """Item's hash -> the source that the store names, for the items that have one."""
    from .trajectories import read

    batches = read(folder, ["item", "source"])
    return {row["item"]: row["source"] for batch in batches for row in batch.to_pylist() if row["source"]}


def _folder(path: Path) -> Path:
    """A store, or the one inside a report's folder."""
    inner = path / "store"
    return inner if (inner / "store.json").is_file() and not (path / "store.json").exists() else path


def compare(
    a: Annotated[Path, typer.Argument(help="The store of one judge, or the folder of its `grm bench` report.")],
    b: Annotated[Path, typer.Argument(help="The other's.")],
    k: Annotated[str | None, typer.Option(help="Sizes of the vote, such as 1,2,4,8; up to the fewest stored.")] = None,
    rule: Annotated[str, typer.Option(help="Voting rules, such as sum,meta_topk.")] = "sum",
    ties: Annotated[str, typer.Option(help="A tie with the labelled best: half (1/m), wrong, random.")] = "half",
    quorum: Quorum = 0.5,
    seed: Annotated[int, typer.Option(help="Of the subsets of samples.")] = 0,
    settings_a: Annotated[str | None, typer.Option(help="Which settings, where A holds several.")] = None,
    settings_b: Annotated[str | None, typer.Option(help="Which settings, where B holds several.")] = None,
    meta_model: Annotated[str | None, typer.Option(help="Whose ratings, where several have rated.")] = None,
    as_json: Json = False,
) -> None:
    """The difference between two judges on the same items, with paired intervals.

    \b
    grm compare runs/a runs/b --k 1,2,4,8
    """
    from .pairing import comparison
    from .reports.figures import sizes

    rules = [name.strip() for name in rule.split(",")]
    for name in rules:
        find_rule(name)
    a, b = _folder(a), _folder(b)
    one, other = stored_runs(a, settings_a, meta_model), stored_runs(b, settings_b, meta_model)
    ks = whole_numbers("k", k) if k else sizes(min(*one.counts, *other.counts))
    parts = _sources(b) | _sources(a)
    report = comparison(one, other, ks, rules, parts=parts, ties=ties, quorum=quorum, seed=seed)
    report = {"a": str(a), "b": str(b), "ties": ties, **report}
    if as_json:
        typer.echo(json.dumps(report))
        return
    print_rows(f"A: {a}; B: {b}; ties: {ties}", POINT, [*report["points"], *report["parts"]])
    said = f"{report['shared']} items are in both; {report['only_a']} only in A, {report['only_b']} only in B"
    ERR.print(said, markup=False)
