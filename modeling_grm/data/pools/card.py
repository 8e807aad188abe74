"""The dataset's card: the house's card of preference items, and what the pools and parts add to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hub_cards import Count, PreferencesCard, render

from ..contrast.grown import PARTS
from ..contrast.strengths import GRADED, STRENGTHS
from .balance import CHOICES
from .entries import NOTES, POOLS, Entry, columns
from .sources import SOURCES
from .whole import FROM

FILES = {part: f"data/{part}-*.parquet" for part in PARTS}
SUMMARY = """Preference items for training and measuring generative reward models: responses with a named defect in
several strengths (`contrast`: a few sentences of prose; `whole`: of any kind, as they are), worked solutions that are
right or wrong (`verifiable`), and preferences (`human`). In each pool neither the length of a response nor its place
says which one is best."""
LIMITS = (
    "English only. The contrast pool has few prompts for its size: each good response is met with many defects, so "
    "an interval must go by prompts, not by items.",
    "Scores of the contrast and the whole pool, and of single worked solutions, are this project's rule and no "
    "person's rating. A single response's label is a score from 1 to 10: use a template that asks for one, such as "
    "`compact`.",
    "A subtle defect is small, not hidden: real errors of strong models are harder to find.",
    "Its good responses are those that a source rates high or prefers. Nobody has checked their facts.",
    "UltraFeedback's preferences and PRMBench's errors come from models. hh-rlhf holds offensive prompts and replies.",
)
SCHEMA_NOTES = {
    "id": "unique in the dataset",
    "conversation": "chat messages, the user's last",
    "responses": "what is judged",
    "best": "index of the single best response; null for a single response",
    "labels": "one number a response, larger is better; of a single response the score from 1 to 10 that is right",
    "reference": "a reference answer, where there is one",
    "source": "which dataset the prompt comes from",
    "licence": "its licence",
}


def write(entries: Mapping[str, Sequence[Entry]], said: Mapping[str, Any], repo_id: str, version: str) -> str:
    """The README.md.

    Args:
        entries: part -> its rows.
        said: the report of the run.
        repo_id: where it is to be published.
        version: of the package.
    """
    rows = [entry for part in entries.values() for entry in part]
    counts = Counter((entry.item.source, entry.item.licence) for entry in rows)
    card = PreferencesCard(
        repo_id=repo_id,
        title="Preferences in four pools",
        summary=SUMMARY,
        licence="other",
        language=("en",),
        limits=LIMITS,
        version=version,
        rows=len(rows),
        counts=[Count(source, licence, number) for (source, licence), number in counts.most_common()],
        columns=[(name, _type(kind), {**SCHEMA_NOTES, **NOTES}[name]) for name, kind in columns().items()],
        configs={"default": FILES},
        shapes=dict(sorted(Counter(entry.n for entry in rows).items())),
    )
    sections = (_parts(entries), _pools(entries), _defects(rows), _kinds(rows), _places(said), _sources(), _left(said))
    return f"{render(card)}\n" + "\n".join(sections)


def _type(kind: Any) -> str:
    return str(getattr(kind, "dtype", "list"))


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(str(cell).replace('|', '/') for cell in line)} |\n" for line in lines)


def _section(title: str, text: str, *tables: str) -> str:
    return "\n\n".join(part for part in (f"## {title}", text, "\n".join(tables)) if part)


def _parts(entries: Mapping[str, Sequence[Entry]]) -> str:
    text = (
        "A part goes by a hash of the last prompt, without an added instruction and without quoted passages: no\n"
        "prompt, and no earlier turn of a user, is in two of them. `train` is for a judge, `meta` for a meta RM,\n"
        "which must not learn from judgements of what its judge has seen, `test` for neither. What modeling-grm's\n"
        "contrast set calls `train` is exactly `train` here, so the embedded judge has seen no prompt of `meta` and\n"
        "`test`. The phrases that defects are made of differ from part to part."
    )
    prompts = {part: len({entry.item.request.query[-1]["content"] for entry in rows}) for part, rows in entries.items()}
    lines = [
        (part, len(rows), prompts[part], *(sum(entry.pool == pool for entry in rows) for pool in POOLS))
        for part, rows in entries.items()
    ]
    return _section("Parts", text, table(("part", "items", "last prompts", *POOLS), lines))


def _pools(entries: Mapping[str, Sequence[Entry]]) -> str:
    rows = [entry for part in entries.values() for entry in part]
    shapes = sorted({entry.n for entry in rows})
    lines = [
        (pool, *(sum((entry.pool, entry.n) == (pool, n) for entry in rows) for n in shapes),
         sum(entry.pool == pool and entry.programmatic for entry in rows))
        for pool in POOLS
    ]  # fmt: skip
    headings = ("pool", *(f"n = {n}" for n in shapes), "programmatic")
    return _section(
        "Pools", "Items by number of responses, and how many a rule of this project made.", table(headings, lines)
    )


def _defects(rows: Sequence[Entry]) -> str:
    counts = Counter((entry.subset, entry.strength) for entry in rows if entry.pool == "contrast")
    lines = [
        (defect, *(_graded(counts, defect, strength) for strength in STRENGTHS))
        for defect in GRADED
        if any(counts[defect, strength] for strength in STRENGTHS)
    ]
    text = (
        "Items by main defect and strength, and the score from 1 to 10 that the defect leaves; a good response has\n"
        "8 to 10."
    )
    return _section("The contrast pool", text, table(("defect", *STRENGTHS), lines))


def _graded(counts: Counter[Any], defect: str, strength: str) -> str:
    found = GRADED[defect].get(strength)
    return f"{counts[defect, strength]} ({found.score}/10)" if found else "-"


def _kinds(rows: Sequence[Entry]) -> str:
    counts = Counter((entry.pool, entry.item.source, entry.subset) for entry in rows if entry.pool != "contrast")
    lines = [(*named, number) for named, number in sorted(counts.items())]
    return _section(
        "The other pools", "Items by source and subset.", table(("pool", "source", "subset", "items"), lines)
    )


def _places(said: Mapping[str, Any]) -> str:
    text = (
        "How often a choice that reads nothing finds the best of two or more responses, with 95% Wilson intervals; a\n"
        "tie is shared. Pairs were balanced in words and in characters, the others in words, then characters."
    )
    lines = [
        (part, pool, found["items"], f"{found['chance']:.3f}", *(_share(found[name]) for name in CHOICES))
        for part, pools in said["baselines"].items()
        for pool, found in pools.items()
    ]
    return _section("Length and place", text, table(("part", "pool", "items", "chance", *CHOICES), lines))


def _share(found: Mapping[str, Any]) -> str:
    low, high = found["ci95"]
    return f"{found['share']:.3f} ({low:.3f}-{high:.3f})"


def _sources() -> str:
    lines = [(source.name, source.pool, source.note) for source in SOURCES.values()]
    note = "prompts and good responses; the defects are made by rule"
    made = [
        ("UltraFeedback, QA-Feedback, GSM8K", "contrast", note),
        (", ".join(SOURCES[name].name for name in FROM), "whole", note),
    ]
    return _section("What the sources are", "", table(("source", "pool", "note"), [*made, *lines]))


def _left(said: Mapping[str, Any]) -> str:
    dropped = [(found["source"], found["reason"], found["rows"]) for found in said["rows"]["dropped"]]
    rows = table(("pool and source", "reason", "rows"), dropped) if dropped else "No row was left out.\n"
    return f"{_section('What was left out', 'Rows of the sources, by reason.', rows)}\n{_decontaminated(said)}"


def _decontaminated(said: Mapping[str, Any]) -> str:
    found = said["decontamination"]
    if found is None:
        return _section("Decontamination", "**No benchmarks were given, so nothing was kept out.**")
    text = (
        f"Items went out that share a whole user turn, or a run of {found['n']} words of one, with a prompt of these\n"
        f"benchmarks: {found['removed']} items, and {found['prompts_refused']} prompts before the contrast\n"
        "and the whole pool were made from the others."
    )
    lines = [(name, one["prompts"], one["exact"], one["n-gram"]) for name, one in found["benchmarks"].items()]
    return _section("Decontamination", text, table(("benchmark", "prompts", "exact", "n-gram"), lines))
