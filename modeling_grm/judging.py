"""The work of `grm bench`: items judged into a store, and the report of a store or of a baseline.

    k, settings = judge_all(loaded, pipe, {"k": 8, "seed": 0}, Path("report/store"), "transformers")
    report = store_report(loaded, Path("report/store"), Ballot(k), settings)

What is stored is not made again, and what the judge refuses is written down beside it, so that the report needs nothing
but items and store. Knows nothing about options of a command.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import __version__
from .baselines import answers_of, make
from .baselines import judge as judge_baseline
from .benchmarks import BENCHMARKS
from .benchmarks.base import Item, Loaded
from .console import ERR, progress
from .first_reading_grm import SELF
from .loading import load_rater
from .rating import chosen_rater, rate_store, rater_name, raters
from .reports import Ballot, answered, benchmark_report, judge_of, load_stored, note_refusal, run_report
from .storing import open_store
from .trajectories import Store
from .types_grm import InvalidInput, Request
from .voting_grm import item_hash


def judge_items(
    items: Iterable[tuple[str, Item]], pipe: Any, settings: Mapping[str, Any], store: Store
) -> Iterator[tuple[Item, str | None]]:
    """Every item as it is done, with the reason where the judge refuses it.

    Args:
        items: (benchmark, item); read as far ahead as the engine reads.
        pipe: a `RewardScoringPipeline`.
        settings: of the call; the vote is not looked at.
        store: an open one.
    """
    read: deque[tuple[Item, str | None]] = deque()

    def good() -> Iterator[Request]:
        for benchmark, item in items:
            reason = _refusal(item, pipe, settings)
            read.append((item, reason))
            if reason is None:
                facts: dict[str, Any] = {
                    "labels": item.labels,
                    "best": item.best,
                    "source": f"{benchmark}/{item.subset}",
                }
                store.register(item.request, id=item.id, **facts)
                yield item.request
            else:
                note_refusal(store.folder, item_hash(item.request), reason)

    for _ in pipe(good(), record=store.recording, **settings):
        yield from _refused(read)
        item, _ = read.popleft()
        store.release(item.request)
        yield item, None
    yield from _refused(read)


def _refused(read: deque[tuple[Item, str | None]]) -> Iterator[tuple[Item, str | None]]:
    """The refused ones that stand before the next judged one."""
    while read and read[0][1] is not None:
        yield read.popleft()


def _refusal(item: Item, pipe: Any, settings: Mapping[str, Any]) -> str | None:
    try:
        pipe.check(item.request, **settings)
    except InvalidInput as error:
        return str(error)
    return None


def judge_all(
    loaded: Mapping[str, Loaded],
    pipe: Any,
    given: Mapping[str, Any],
    folder: Path,
    backend: str,
    text: bool | None = None,
    mix: bool = False,
) -> tuple[int, str]:
    """Judge the items of all benchmarks into a store, with a bar.

    Args:
        loaded: items by benchmark.
        pipe: a `RewardScoringPipeline`.
        given: settings of the call, `seed` among them.
        folder: of the store.
        backend: what the store names the engine.
        text, mix: see `Store`.

    Returns:
        k, and the digest of the settings under which the samples stand in the store.

    Raises:
        InvalidInput: k is no number, or see `Store`.
    """
    calls = {**given, "rule": "sum"}  # the vote is the report's business
    k = pipe.configuration(**calls).k
    if not isinstance(k, int):
        raise InvalidInput(f"k: {k!r} is not usable; a benchmark's items all get the same number: give --k")
    items = [(name, item) for name, found in loaded.items() for item in found.items]
    with progress(len(items)) as bar, open_store(folder, pipe, calls, backend, text=text, mix=mix) as kept:
        for item, refused in judge_items(items, pipe, calls, kept):
            if refused:
                ERR.print(f"{item.id}: {refused}", style="red", markup=False)
            bar.update(bar.task_ids[0], advance=1)
    ERR.print(f"{folder}: {kept.found} judgements were there, {kept.made} made", markup=False)
    return k, kept.settings.digest


def own_meta(pipe: Any, given: Mapping[str, Any], rule: str | None, text: bool | None) -> str | None:
    """The meta RM that the checkpoint itself names, where this rule has a use for it, as in a call of its pipeline.

    Raises:
        InvalidInput: it reads texts, and none are kept.
    """
    own: str | None = pipe.own_meta(pipe.configuration(**given, rule=rule))
    if own not in (None, SELF) and text is False:
        raise InvalidInput(
            f"meta_rm: the judge names {own!r}, which reads the judgements' texts; leave out --no-text, or give "
            "--rule sum for a vote without it"
        )
    return own


def rated(
    loaded: Mapping[str, Loaded], folder: Path, meta_model: str, judge: str | None, dtype: str | None = None
) -> str:
    """Rate what has no rating yet; "self" is the judge's own, which needs no texts in the store.

    Returns:
        The name under which the ratings stand.
    """
    meta = load_rater(meta_model, judge=judge, dtype=dtype)
    items = (item for found in loaded.values() for item in found.items)
    name, requests = rater_name(meta), {item_hash(item.request): item.request for item in items}
    counts = rate_store(folder, meta, name, requests=requests)
    ERR.print(f"{name}: {counts['rated']} rated, {counts['unrated']} not, {counts['there']} were there", markup=False)
    return name


def store_report(
    loaded: Mapping[str, Loaded],
    folder: Path,
    ballot: Ballot,
    settings: str | None = None,
    meta_model: str | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """The report of a store.

    Args:
        loaded: items by benchmark.
        folder: of the store.
        ballot: k = 0 takes what every item has; no rule is the sum, of the best half where there are ratings.
        settings: which, where the store holds several.
        meta_model: whose ratings, by name or folder; the only ones if None.
        seed: of the bootstrap.

    Raises:
        InvalidInput: see `chosen_rater`, `load_stored` and `answered`.
    """
    there = raters(folder)
    rater = chosen_rater(folder, meta_model or (there[0] if len(there) == 1 else None))
    stored = load_stored(folder, settings, rater)
    ballot = replace(ballot, k=ballot.k or stored.k, rule=ballot.rule or ("meta_topk" if rater else None))
    parts = [
        benchmark_report(name, found, answered(found.items, stored, ballot), ballot, seed=seed)
        for name, found in loaded.items()
    ]
    return run_report(judge_of(stored), parts, __version__)


def baseline_report(
    name: str, made: Mapping[str, Any], loaded: Mapping[str, Loaded], out: Path, ballot: Ballot, seed: int = 0
) -> dict[str, Any]:
    """The report of a baseline; its answers are kept in `out`, so that a killed run goes on.

    Raises:
        InvalidInput: a benchmark that counts both orders of a pair, and a k that is odd; or see `baselines.make` and
            `baselines.judge`.
    """
    judge = make(name, **made)
    both = _counting_both(loaded, judge.k)
    ballot = replace(ballot, k=judge.k, rule=None)
    parts = []
    for benchmark, found in loaded.items():
        with progress(len(found.items)) as bar:
            answers = []
            for pair in judge_baseline(found.items, judge, out / f"{name}.jsonl"):
                answers.append(pair)
                bar.update(bar.task_ids[0], advance=1)
        voted = answers_of(answers, ballot, benchmark in both)
        parts.append(benchmark_report(benchmark, found, voted, ballot if judge.k else None, seed=seed))
    return run_report(judge.about, parts, __version__)


def _counting_both(names: Iterable[str], k: int) -> list[str]:
    """The benchmarks that count both orders of a pair; k judgements show each of them k / 2 times."""
    both = [name for name in names if BENCHMARKS[name].both_orders]
    if both and k % 2:
        raise InvalidInput(f"k: {k} shows one order more often, and {', '.join(both)} counts both; give an even --k")
    return both
