"""`grm rate`: a meta RM's word on every stored judgement; a run that was stopped goes on where it was.

    grm rate runs/demo --meta-model org/a-meta-rm

Judgements stay as they are; the ratings stand in shards beside them, under the meta RM's name and revision.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from .console import ERR, progress
from .first_reading_grm import SELF
from .options import Dtype, Json
from .prompts_grm import find_template
from .types_grm import Critique, InvalidInput, Outcome, Request

ASKED = ("item", "query", "responses", "response_hashes", "reference", "principles")
COLUMNS = ("key", *ASKED, "order", "seed", "text", "outcome", "scores")
AT_ONCE = 64  # judgements that are sorted by length together
FLUSH_SECONDS = 60  # what a kill can lose


Requests = Mapping[str, Request]
"""By their hash (`voting_grm.item_hash`): what a store without texts was made of."""


@dataclass(frozen=True)
class Part:
    """Some of a store's samples: those of one set of settings, by its digest, on some items, by their hashes."""

    settings: str
    items: Collection[str]

    def __contains__(self, sample: Mapping[str, Any]) -> bool:
        return sample["settings"] == self.settings and sample["item"] in self.items


def request_of(row: Mapping[str, Any], requests: Requests | None = None) -> Request:
    """A stored sample's request, in the store's order of the responses.

    Raises:
        InvalidInput: the store has no texts, and it is not among those given.
    """
    from .trajectories.samples import response_hashes

    if row["query"] is not None:
        return Request(row["query"], row["responses"], row["reference"], row["principles"])
    given = (requests or {}).get(row["item"])
    if given is None:
        raise InvalidInput(f"rows: the item {row['item']} is not among them; give those that the store was made of")
    named = dict(zip(response_hashes(given), given.responses, strict=True))
    return replace(given, responses=tuple(named[one] for one in row["response_hashes"]))


def critique_of(row: Mapping[str, Any]) -> Critique:
    """A stored sample's judgement, as far as a meta RM reads it."""
    scores = None if row["scores"] is None else tuple(row["scores"])
    return Critique(row["text"] or "", Outcome(row["outcome"]), tuple(row["order"]), row["seed"], scores)


def rater_name(meta_model: Any) -> str:
    """What a meta RM's ratings stand under: its Hub id with its commit, or its folder's name with its content's hash.

    A judge's own reading is `self`, with its folder's hash or its Hub id and commit.
    """
    judge = getattr(meta_model, "judge", None)
    return _named(judge or meta_model.name_or_path, own=judge is not None)


def _named(name: str, own: bool) -> str:
    from .storing import named

    full = named(name)
    if not own:
        return full
    return f"{SELF}@{full.rpartition('@')[2]}" if Path(name).is_dir() else f"{SELF}@{full}"


def raters(folder: Path) -> list[str]:
    """The meta RMs whose ratings a store has."""
    from .trajectories.arrow import pq
    from .trajectories.shards import reading, shards

    found: set[str] = set()
    for path in shards(folder, "meta"):
        with reading(path):
            found |= set(pq.read_table(path, columns=["meta_model"])["meta_model"].to_pylist())
    return sorted(found)


def chosen_rater(folder: Path, asked: str | None) -> str | None:
    """The full name of the rater asked for: itself, or the one whose name (or folder) it is; None for none.

    Raises:
        InvalidInput: no rater of that name, or several.
    """
    if asked is None:
        return None
    there = raters(folder)
    bare = Path(asked).name
    here = [_named(asked, own) for own in (True, False)] if Path(asked).is_dir() else [asked]
    found = [name for name in there if name in here] or [n for n in there if n.split("@")[0] in (asked, bare)]
    if len(found) != 1:
        raise InvalidInput(f"meta_model: {asked!r} fits {len(found)} of the ratings; the store has {there}")
    return found[0]


def todo(folder: Path, rater: str, part: Part | None = None) -> tuple[list[str], int]:
    """(keys that this meta RM has still to rate, how many it has rated), of a part of a store or of all."""
    from .trajectories import read

    known = [rater] if rater in raters(folder) else []
    columns = ["key", "outcome", "item", "settings", *("meta_model" for _ in known)]
    keys, there = [], 0
    for batch in read(folder, columns, meta_model=rater):
        for row in batch.to_pylist():
            if row["outcome"] != Outcome.OK.value or (part is not None and row not in part):
                continue
            if row.get("meta_model") is None:
                keys.append(row["key"])
            else:
                there += 1
    return keys, there


def check_template(folder: Path, read: str | None, settings: str | None = None) -> None:
    """Refuse a judge's own reading (`read` is its template) of judgements that were asked for with other prompts.

    Raises:
        InvalidInput: they were.
    """
    from .trajectories import settings_in

    asked = {used["template"] for digest, used in settings_in(folder).items() if settings in (None, digest)}
    if read is not None and asked != {find_template(read).name}:
        raise InvalidInput(
            f"meta_model: it reads {read[:60]}, and the judgements were asked for with {', '.join(sorted(asked))}; "
            "give the judge that wrote them"
        )


def ratings(
    folder: Path, keys: Sequence[str], rate: Any, requests: Requests | None = None
) -> Iterator[dict[str, float | None]]:
    """The ratings of these samples, some at a time; reads the store once, without holding it."""
    from .trajectories import read

    wanted, waiting = set(keys), []
    for batch in read(folder, list(COLUMNS), batch_rows=1024):
        for row in batch.to_pylist():
            if row["key"] in wanted:
                waiting.append(row)
            if len(waiting) == AT_ONCE:
                yield _rated(waiting, rate, requests)
                waiting = []
    if waiting:
        yield _rated(waiting, rate, requests)


def _rated(rows: Sequence[Mapping[str, Any]], rate: Any, requests: Requests | None) -> dict[str, float | None]:
    found = rate([(request_of(row, requests), critique_of(row)) for row in rows])
    return {row["key"]: rating for row, rating in zip(rows, found, strict=True)}


def rate_store(
    folder: Path,
    rate: Any,
    rater: str,
    limit: int | None = None,
    requests: Requests | None = None,
    part: Part | None = None,
) -> dict[str, int]:
    """Rate what has no rating by this meta RM yet, and write it down as it goes.

    Args:
        requests: of a store without texts, for a meta RM that reads no judgement's text (`meta_model="self"`).
        part: the samples to rate; all of them if None.

    Returns:
        `rated`, `unrated` (None: it said why in its log) and `there` (from an earlier run).

    Raises:
        InvalidInput: no store, one without texts or of another template, an item that was not given, or one that
            another process writes into.
        UnwritableStore: the disk is full.
    """
    from .trajectories import write_meta
    from .trajectories.shards import load_about

    reads_requests_alone = requests is not None and getattr(rate, "judge", None) is not None
    if not reads_requests_alone and not load_about(folder)["text"]:
        raise InvalidInput(f"{folder}: keeps no texts, which a meta RM reads; score into a store with --text")
    check_template(folder, getattr(rate, "template", None), None if part is None else part.settings)
    keys, there = todo(folder, rater, part)
    counts = {"rated": 0, "unrated": 0, "there": there}
    pending: dict[str, float | None] = {}
    flushed = started = time.monotonic()
    with progress(len(keys[:limit]), "rating") as bar:
        try:
            for some in ratings(folder, keys[:limit], rate, requests):
                pending |= some
                counts["unrated"] += sum(rating is None for rating in some.values())
                counts["rated"] += sum(rating is not None for rating in some.values())
                speed = f"{(counts['rated'] + counts['unrated']) / (time.monotonic() - started):.1f} judgements/s"
                bar.update(bar.task_ids[0], advance=len(some), rate=speed)
                if time.monotonic() - flushed > FLUSH_SECONDS:
                    write_meta(folder, rater, pending)
                    pending, flushed = {}, time.monotonic()
        finally:
            if pending:
                write_meta(folder, rater, pending)
    return counts


def rate(
    folder: Annotated[Path, typer.Argument(help="A folder that `grm score --store` has written, with texts.")],
    meta_model: Annotated[
        str,
        typer.Option(help="Hub id or folder of a meta RM, or of a judge that reads for itself; self: the embedded."),
    ],
    batch_size: Annotated[
        int, typer.Option(help="Judgements that a meta RM reads at once; a judge reads one prompt.")
    ] = 8,
    dtype: Dtype = None,
    limit: Annotated[int | None, typer.Option(help="Rate at most that many judgements.")] = None,
    as_json: Json = False,
) -> None:
    """Let a meta RM rate stored judgements, so that any guided vote can be computed from them.

    \b
    grm rate runs/demo --meta-model runs/meta
    grm rate runs/demo --meta-model self                  # the embedded judge's own first reading of the responses
    grm revote runs/demo --rule sum,meta_topk,random_topk --k 8 --k-meta 1,2,4,8
    """
    from .loading import load_rater

    meta = load_rater(meta_model, dtype=dtype, batch_size=batch_size)
    name = rater_name(meta)
    counts = rate_store(folder, meta, name, limit)
    report = {"meta_model": name, **counts, "failures": {why.value: n for why, n in meta.failures.items()}}
    if as_json:
        typer.echo(json.dumps(report))
    said = f"{counts['rated']} judgements rated, {counts['unrated']} not, {counts['there']} were there"
    ERR.print(f"{name}: {said}", markup=False)
