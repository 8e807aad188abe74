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

import torch

from . import __version__
from .baselines import answers_of, make
from .baselines import judge as judge_baseline
from .benchmarks import BENCHMARKS
from .benchmarks.base import Item, Loaded
from .configuration_grm import GRMConfig
from .console import ERR, progress
from .first_reading_grm import SELF, FirstReading, reads_texts
from .loading import check_meta, load_rater, self_reading
from .rating import Part, chosen_rater, rate_store, rater_name, raters, todo
from .reports import (
    Ballot,
    answered,
    benchmark_report,
    chosen_settings,
    judge_of,
    load_stored,
    note_refusal,
    run_report,
)
from .storing import open_store
from .trajectories import Store
from .trajectories.shards import STORE_FILE, load_about
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


def guide_of(
    pipe: Any, config: GRMConfig, meta_model: str | None = None, texts: bool = True
) -> str | FirstReading | None:
    """The meta RM that guides the vote: the one asked for, else the checkpoint's own, as in a call of its pipeline.

    Args:
        pipe: the judge.
        config: of the call.
        meta_model: asked for.
        texts: whether the store keeps them.

    Returns:
        Its name; a judge that is loaded here and reads for itself is ready, and needs no second model.

    Raises:
        InvalidInput: it cannot rate, or reads texts and none are kept; nothing has been judged then.
    """
    asked = meta_model or pipe.own_meta(config)
    if asked is None:
        return None
    if meta_model is None:
        ERR.print(f"meta RM: {asked}, which the judge names; --rule sum does without", markup=False)
    if asked == SELF and isinstance(pipe.model, torch.nn.Module):
        return self_reading(pipe, config.template)
    check_meta(asked, pipe.name)
    if not texts and reads_texts(asked):
        raise InvalidInput(
            f"meta_model: {asked!r} reads the judgements' texts, and none are kept; leave out --no-text, or give "
            "--rule sum for a vote without it"
        )
    return str(asked)


def judged(
    loaded: Mapping[str, Loaded],
    pipe: Any,
    given: Mapping[str, Any],
    folder: Path,
    backend: str,
    ballot: Ballot,
    meta_model: str | None = None,
    text: bool | None = None,
    mix: bool = False,
) -> tuple[Ballot, str, str | FirstReading | None]:
    """`judge_all`, where what the vote leaves open is the checkpoint's, as in a call of its pipeline.

    Returns:
        The ballot, the digest of the settings, and the meta RM that has still to rate (`guide_of`).
    """
    asked = {name: getattr(ballot, name) for name in ("rule", "k_meta") if getattr(ballot, name) is not None}
    config = pipe.configuration(**given, **asked)
    guide = guide_of(pipe, config, meta_model, keeps_texts(folder, text))
    k, settings = judge_all(loaded, pipe, given, folder, backend, text, mix)
    rule = config.rule or ("meta_topk" if guide else None)
    return replace(ballot, k=k, rule=rule, k_meta=config.k_meta), settings, guide


def keeps_texts(folder: Path, text: bool | None) -> bool:
    """Whether the store of a run keeps texts: as it was begun, else as asked for."""
    return bool(load_about(folder)["text"]) if (folder / STORE_FILE).is_file() else text is not False


def rated(
    loaded: Mapping[str, Loaded],
    folder: Path,
    settings: str,
    guide: str | FirstReading,
    judge: str | None = None,
    dtype: str | None = None,
) -> str:
    """Let a meta RM rate what the run has judged; one that reads for itself needs no texts in the store.

    Returns:
        The name under which the ratings stand.
    """
    meta = load_rater(guide, judge=judge, dtype=dtype) if isinstance(guide, str) else guide
    requests, name = _requests(loaded), rater_name(meta)
    counts = rate_store(folder, meta, name, requests=requests, part=Part(settings, requests))
    ERR.print(f"{name}: {counts['rated']} rated, {counts['unrated']} not, {counts['there']} were there", markup=False)
    return name


def rater_in(folder: Path, meta_model: str | None = None) -> str | None:
    """Whose ratings a store is read with: the meta RM asked for, else the only one there."""
    there = raters(folder)
    return chosen_rater(folder, meta_model or (there[0] if len(there) == 1 else None))


def all_rated(loaded: Mapping[str, Loaded], folder: Path, settings: str | None, rater: str) -> bool:
    """Whether a meta RM has rated all that is reported on."""
    return not todo(folder, rater, Part(chosen_settings(folder, settings), _requests(loaded)))[0]


def _requests(loaded: Mapping[str, Loaded]) -> dict[str, Request]:
    """What is judged, by its hash."""
    return {item_hash(item.request): item.request for found in loaded.values() for item in found.items}


def store_report(
    loaded: Mapping[str, Loaded],
    folder: Path,
    ballot: Ballot,
    settings: str | None = None,
    rater: str | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """The report of a store; a ballot with k = 0 takes what every item has.

    Raises:
        InvalidInput: see `load_stored` and `answered`.
    """
    stored = load_stored(folder, settings, rater)
    ballot = ballot if ballot.k else replace(ballot, k=stored.k)
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
