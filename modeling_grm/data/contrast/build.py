"""Builds the contrast set: real prompts, one good response, and rejected ones with a named, checkable defect.

    build(folder, "train", count=8000) -> rows in the house schema; meta.target holds the judgement to learn

The split is by prompt. Positions of the best response go round robin; in the test split each defect has as many pairs
whose rejected response is the longer one as pairs where it is the shorter. `grown.py` has each defect in several
strengths.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .defects import DEFECTS, Candidate, Case, with_answer
from .instructions import INSTRUCTIONS
from .sources import HumanPair, Seed, read_human_pairs, read_seeds, trim, words
from .strengths import GRADED, make
from .targets import judgement, score, target_text, topic_of

TEST_SHARE = 8  # one prompt in eight
# one train item in 64 is a human pair; at one in 16 the judge took plain questions for matters of taste
HUMAN_SHARE = 64
COUNTS = (2, 4, 2, 4, 2, 4, 1)  # responses an item, round robin
_HOME = {"ignores_last_turn": "two_turn", "wrong_number": "math", "breaks_instruction": "instruction"}


@dataclass(frozen=True)
class Item:
    """One item before it becomes a row: candidates in the order shown, and what the query is."""

    conversation: tuple[dict[str, str], ...]
    candidates: tuple[Candidate, ...]
    kind: str
    defect: str
    seed: Seed
    rule: str = ""
    strength: str = ""


def split_of(prompt: str) -> str:
    """`test` for one prompt in eight, by its hash."""
    digest = hashlib.sha256(prompt.strip().lower().encode()).digest()
    return "test" if digest[0] % TEST_SHARE == 0 else "train"


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _good(case: Case, kind: str, target: int) -> Candidate | None:
    if kind == "math":
        answer = str(case.seed.answer)
        return Candidate(with_answer(case.seed.good[0], answer), None, {"works_out": answer, "answers": answer})
    text = trim(case.seed.good[0], target)
    if not text or case.instruction is None:
        return Candidate(text, None) if text else None
    obeyed = case.instruction.obey(text)
    return Candidate(obeyed, None, {"rule": case.instruction.rule}) if case.instruction.holds(obeyed) else None


def _conversation(case: Case) -> tuple[dict[str, str], ...]:
    ask = case.seed.prompt if case.instruction is None else f"{case.seed.prompt} {case.instruction.ask}"
    if case.earlier is None:
        return (_user(ask),)
    reply = trim(case.earlier.good[0], 30) or case.earlier.good[0][:200]
    return (_user(case.earlier.prompt), {"role": "assistant", "content": reply}, _user(ask))


def _made(case: Case, good: str, name: str, strength: str) -> Candidate | None:
    return make(case, good, name, strength) if strength else DEFECTS[name].make(case, good)


def _rejected(case: Case, good: str, named: Sequence[tuple[str, str]]) -> list[Candidate]:
    made = (_made(case, good, name, strength) for name, strength in named)
    return [candidate for candidate in made if candidate and candidate.text != good]


def _kinds(defect: str, strength: str) -> frozenset[str]:
    return (GRADED[defect][strength] if strength else DEFECTS[defect]).kinds


def _drawn(rng: random.Random, name: str, kind: str, strengths: Sequence[str]) -> str:
    """One of the defect's strengths that can stand in an item of that kind; "" where strengths are not asked for."""
    possible = [one for one in strengths if one in GRADED[name] and kind in GRADED[name][one].kinds]
    return rng.choice(possible) if possible else ""


def _pick(rng: random.Random, seeds: Sequence[Seed], kinds: Sequence[str], avoid: str = "") -> Seed:
    while True:
        seed = rng.choice(seeds)
        if seed.kind in kinds and seed.prompt != avoid:
            return seed


def _case(rng: random.Random, seeds: Sequence[Seed], kind: str, split: str) -> Case:
    prose = ("open", "question")
    seed = _pick(rng, seeds, ("math",) if kind == "math" else (kind,) if kind in prose else prose)
    return Case(
        seed=seed,
        other=_pick(rng, seeds, prose, avoid=seed.prompt),
        split=split,
        rng=rng,
        instruction=rng.choice(INSTRUCTIONS) if kind == "instruction" else None,
        earlier=_pick(rng, seeds, prose, avoid=seed.prompt) if kind == "two_turn" else None,
    )


def make_item(
    rng: random.Random,
    seeds: Sequence[Seed],
    split: str,
    defect: str,
    n: int,
    place: int,
    *,
    strength: str = "",
    strengths: Sequence[str] = (),
) -> Item | None:
    """One item with `n` responses whose main defect is `defect`; None where the seed does not suit it.

    Args:
        rng: of all choices.
        seeds: to choose from.
        split: whose phrases are used.
        defect: of one of the rejected responses.
        n: responses.
        place: where the good one stands, modulo n; of a single response, odd is a good one.
        strength: of the main defect; "" for the table's own.
        strengths: to draw those of the others from; none where `strength` is "".
    """
    kind = _HOME.get(defect) or rng.choice(
        [kind for kind in ("open", "question", "math") if kind in _kinds(defect, strength)]
    )
    case = _case(rng, seeds, kind, split)
    good = _good(case, kind, rng.randint(10, 50))
    if good is None or (strength and kind == "math" and not case.seed.checks):
        return None
    others = [name for name in DEFECTS if name != defect and kind in DEFECTS[name].kinds]
    names = rng.sample(others, min(len(others), max(0, n - 2)))
    named = [(defect, strength), *((name, _drawn(rng, name, kind, strengths)) for name in names)]
    rejected = _rejected(case, good.text, named)
    if len(rejected) < max(1, n - 1) or rejected[0].defect != defect:
        return None
    if n == 1:
        shown = [good if place % 2 else rejected[0]]
    else:
        shown = rejected[: n - 1]
        rng.shuffle(shown)
        shown.insert(place % n, good)
    if strength and kind == "math":
        shown = [replace(one, checks=case.seed.checks) if "works_out" in one.facts else one for one in shown]
    rule = case.instruction.rule if case.instruction else ""
    return Item(_conversation(case), tuple(shown), kind, defect, case.seed, rule, strength)


def to_row(item: Item, number: int, split: str, rng: random.Random) -> dict[str, Any]:
    """The item in the house schema."""
    scores = [score(candidate, item.kind) for candidate in item.candidates]
    goods = [place for place, candidate in enumerate(item.candidates) if candidate.defect is None]
    target = target_text(item.candidates, item.kind, item.conversation[-1]["content"], item.rule, rng)
    return {
        "id": f"contrast-{split}-{number}",
        "source": item.seed.source,
        "subset": item.defect,
        "conversation": list(item.conversation),
        "responses": [candidate.text for candidate in item.candidates],
        "best": goods[0] if goods and len(scores) > 1 else None,
        "labels": scores,
        "license": item.seed.license,
        "meta": {"defects": [c.defect for c in item.candidates], "kind": item.kind, "target": target},
    }


def human_row(pair: HumanPair, number: int, split: str) -> dict[str, Any]:
    """A human pair as it is; the target says only which one people preferred."""
    place = number % 2
    texts = [pair.rejected, pair.rejected]
    texts[place] = pair.chosen
    scores = [6, 6]
    scores[place] = 8
    said = [("", "more helpful" if given == 8 else "less helpful") for given in scores]
    criteria = f'helpfulness and care on "{topic_of(pair.conversation[-1]["content"])}" (60%), clarity (40%)'
    target = judgement(criteria, said, scores)
    return {
        "id": f"human-{split}-{number}",
        "source": pair.source,
        "subset": "human_preference",
        "conversation": list(pair.conversation),
        "responses": texts,
        "best": place,
        "labels": scores,
        "license": pair.license,
        "meta": {"defects": [None, None], "kind": "human", "target": target},
    }


def _items(rng: random.Random, seeds: Sequence[Seed], split: str, counts: Sequence[int]) -> Iterator[Item]:
    """Items without end: defects and numbers of responses round robin."""
    names, made = list(DEFECTS), 0
    while True:
        defect, n = names[made % len(names)], counts[made // len(names) % len(counts)]
        item = make_item(rng, seeds, split, defect, n, place=made // len(names))
        if item:
            made += 1
            yield item


def _longer(item: Item) -> int:
    """+1 where the rejected response of a pair is the longer one, -1 where it is shorter, 0 for equal lengths."""
    good = next(words(c.text) for c in item.candidates if c.defect is None)
    bad = next(words(c.text) for c in item.candidates if c.defect is not None)
    return (bad > good) - (bad < good)


def _balanced_pairs(items: Iterator[Item], count: int) -> list[Item]:
    """Pairs with equal numbers of longer and shorter rejected responses in each defect."""
    quota = {(name, side): count // len(DEFECTS) // 2 for name in DEFECTS for side in (-1, 1)}
    kept: list[Item] = []
    for item in items:
        side = _longer(item)
        if side == 0:  # equal lengths count for either side
            side = max((-1, 1), key=lambda s: quota[item.defect, s])
        if quota[item.defect, side]:
            quota[item.defect, side] -= 1
            kept.append(item)
        if not any(quota.values()):
            return kept
    raise AssertionError("an endless iterator ended")


def build(folder: Path, split: str, count: int, seed: int = 0) -> list[dict[str, Any]]:
    """`count` rows of one split.

    Args:
        folder: where the source files are.
        split: train (n = 1, 2, 4 responses, human pairs mixed in) or test (`count` balanced pairs, then a tenth as many
            with n = 4, n = 1 and human pairs each).
        seed: of all random choices.
    """
    rng = random.Random(f"{split}-{seed}")
    seeds = [found for found in read_seeds(folder) if split_of(found.prompt) == split]
    humans = [pair for pair in read_human_pairs(folder) if split_of(pair.conversation[-1]["content"]) == split]
    rng.shuffle(humans)
    if split == "test":
        items = _balanced_pairs(_items(rng, seeds, split, (2,)), count)
        for n in (4, 1):
            source = _items(rng, seeds, split, (n,))
            items += [next(source) for _ in range(count // 10)]
        rows = [to_row(item, number, split, rng) for number, item in enumerate(items)]
        return rows + [human_row(pair, number, split) for number, pair in enumerate(humans[: count // 2])]
    source = _items(rng, seeds, split, COUNTS)
    rows = [to_row(next(source), number, split, rng) for number in range(count - count // HUMAN_SHARE)]
    rows += [human_row(pair, number, split) for number, pair in enumerate(humans[: count // HUMAN_SHARE])]
    rng.shuffle(rows)
    return rows
