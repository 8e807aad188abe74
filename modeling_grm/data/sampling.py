"""Rejective sampling: judgements of preference items into a store, and those worth learning from as training rows.

    for item, samples in sampled(pipe, items, folder, "transformers", settings): ...
    rows = kept_rows(item, samples, hinted_samples, "deepseek-grm", tally)

Hinted samples are in a store of their own: their prompts differ, so that none could be taken for another, and in each
store `item` and `sample` mean what they always do. What is learnt is the judgement of the prompt without the hint.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..prompts_grm import render
from ..scoring_grm import Generate
from ..storing import open_store
from ..trajectories import Store
from ..types_grm import Completion, InvalidInput, Outcome, Prompt, Request
from .preference import Preference
from .spct import Verdict, correct, hinted, reject

Samples = Sequence[Mapping[str, Any]]
"""An item's samples as `Critique.to_dict` gives them, in the order in which they are numbered."""


def sampled(
    pipe: Any,
    items: Iterable[Preference],
    folder: Path,
    backend: str,
    settings: Mapping[str, Any],
    *,
    hint: bool = False,
) -> Iterator[tuple[Preference, Samples]]:
    """The k samples of each item, in the items' order; made where the store does not have them, and kept there.

    Args:
        pipe: a `RewardScoringPipeline`.
        items: read as the engine goes.
        folder: of the store; a run that was stopped goes on with it.
        backend: the engine's name, for the store.
        settings: of the pipeline's call: k, template, temperature, seed, ...
        hint: name the best response at the end of each prompt (section 3.2); for items of two or more responses.

    Raises:
        InvalidInput: the store was made with other settings, or an item does not fit the judge's context.
    """
    waiting: deque[Preference] = deque()
    best: dict[str, int | None] = {}
    with open_store(folder, pipe, settings, backend) as store:

        def record(engine: Generate) -> Generate:
            kept = store.recording(engine)
            return _hinting(kept, best) if hint else kept

        asked = _registered(store, items, waiting, best)
        for result in pipe(asked, record=record, return_samples=True, **{**settings, "rule": "sum"}):
            item = waiting.popleft()
            store.release(item.request)
            best.pop(item.item, None)
            yield item, result["samples"]


def _registered(
    store: Store, items: Iterable[Preference], waiting: deque[Preference], best: dict[str, int | None]
) -> Iterator[Request]:
    """Each item's request, known to the store and to the hints just before its prompts are made."""
    for item in items:
        waiting.append(item)
        best[item.item] = item.best
        facts: dict[str, Any] = {"labels": item.labels, "best": item.best, "source": item.source}
        store.register(item.request, id=item.id, licence=item.licence, **facts)
        yield item.request


def _hinting(generate: Generate, best: Mapping[str, int | None]) -> Generate:
    def told(prompts: Iterable[Prompt]) -> Iterator[tuple[int, Completion]]:
        return generate(_told(prompt, best[prompt.item]) for prompt in prompts)

    return told


def _told(prompt: Prompt, best: int | None) -> Prompt:
    if best is None:
        raise InvalidInput("hint: an item of one response has no best one to name; sample it without")
    return hinted(prompt, best)


@dataclass
class Tally:
    """How many samples and items ended how, by source.

    Attributes:
        items: source -> items that were sampled.
        kept_items: source -> items of which a sample was kept.
        samples: (source, "free" or "hinted", verdict) -> samples.
        causes: (source, "free" or "hinted", cause) -> incorrect samples: `wrong`, `tie`, or the outcome's name.
    """

    items: Counter[str] = field(default_factory=Counter)
    kept_items: Counter[str] = field(default_factory=Counter)
    samples: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    causes: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, by source."""
        return {
            source: {
                "items": items,
                "items_kept": self.kept_items[source],
                **{kind: self._of(source, kind) for kind in ("free", "hinted")},
            }
            for source, items in self.items.items()
        }

    def _of(self, source: str, kind: str) -> dict[str, Any]:
        verdicts = {v.value: self.samples[source, kind, v.value] for v in Verdict}
        causes = {cause: n for (of, sort, cause), n in self.causes.items() if (of, sort) == (source, kind)}
        return {"samples": sum(verdicts.values()), **verdicts, "why_incorrect": causes}

    @property
    def kept(self) -> int:
        """Samples that were kept."""
        return sum(n for (_, _, verdict), n in self.samples.items() if verdict == Verdict.KEPT.value)


def truths(item: Preference, samples: Samples) -> list[bool | None]:
    """Whether each sample is correct (Eq 10); None where the engine failed to make it."""
    return [
        None if sample["outcome"] == Outcome.ENGINE_ERROR.value else correct(sample["scores"], item.best, item.label)
        for sample in samples
    ]


def kept_rows(
    item: Preference,
    free: Samples,
    told: Samples,
    template: str,
    tally: Tally,
    *,
    rejection: bool = True,
    principles: bool = True,
) -> Iterator[dict[str, Any]]:
    """The item's samples that the rejection rules keep, as training rows; all of them are counted.

    Args:
        item: what was judged.
        free: its N_RFT non-hinted samples.
        told: its hinted ones, if any.
        template: of the prompts.
        tally: counts.
        rejection: False keeps every judgement that can be read, an ablation of the paper's (table 4).
        principles: False leaves them out of the completions, another one; `template` should then ask for none.

    Returns:
        Rows with `prompt` and `completion` (chat messages; the prompt has no hint) and where they come from.
    """
    verdicts, told_verdicts = reject(truths(item, free), truths(item, told)) if rejection else _all_of(free, told)
    tally.items[item.source] += 1
    tally.kept_items[item.source] += Verdict.KEPT in (*verdicts, *told_verdicts)
    for kind, samples, found in (("free", free, verdicts), ("hinted", told, told_verdicts)):
        for number, (sample, verdict) in enumerate(zip(samples, found, strict=True)):
            tally.samples[item.source, kind, verdict.value] += 1
            if verdict is Verdict.INCORRECT:
                tally.causes[item.source, kind, _cause(item, sample)] += 1
            if verdict is Verdict.KEPT:
                said = sample if principles else {**sample, "text": without_principles(sample)}
                yield _row(item, said, number, kind, template)


def _all_of(*kinds: Samples) -> list[list[Verdict]]:
    return [[Verdict.INCORRECT if one["scores"] is None else Verdict.KEPT for one in samples] for samples in kinds]


def without_principles(sample: Mapping[str, Any]) -> str:
    """A readable judgement's analysis and its scores, in the order in which the responses were shown."""
    shown = ", ".join(str(sample["scores"][at]) for at in sample["order"])
    return f"Analysis: {sample['analysis']}\nScores: \\boxed{{{shown}}}"


def _cause(item: Preference, sample: Mapping[str, Any]) -> str:
    scores = sample["scores"]
    if scores is None:
        return str(sample["outcome"])
    tied = item.best is not None and scores[item.best] == max(scores)
    return "tie" if tied else "wrong"


def _row(item: Preference, sample: Mapping[str, Any], number: int, kind: str, template: str) -> dict[str, Any]:
    return {
        "prompt": list(render(item.request, sample["order"], template)),
        "completion": [{"role": "assistant", "content": sample["text"]}],
        "id": item.id,
        "item": item.item,
        "sample": number,
        "hinted": kind == "hinted",
        "n": item.request.n,
        "order": list(sample["order"]),
        "scores": list(sample["scores"]),
        "best": item.best,
        "label": item.label,
        "source": item.source,
        "licence": item.licence,
    }
