"""Which order each sample shows, and how k critiques become one result.

    orders(Request("q", ["a", "b"]), n=2, k=4) -> [((1, 0), 728866758), ((0, 1), 1741815561), ...]   (order, seed)
    vote(critiques, n=2) -> RewardResult(scores=(4.25, 6.25), totals=(17, 25), best=1, ...)

Arithmetic only: knows nothing about texts, prompts or models. Chance comes from SHA-256, so it is the same in every
Python version, on every machine and in every process.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from .rules_grm import default_k_meta, find_rule, tally
from .types_grm import Critique, InvalidInput, Outcome, Request, RewardResult

SEED_LIMIT = 2**31  # sample seeds are below it: what every engine's seed takes, 32-bit signed ones too


def _digest(*key: object) -> str:
    """Hex SHA-256 of the key as JSON: quoted and escaped, so that no two keys run together."""
    return hashlib.sha256(json.dumps(key, separators=(",", ":")).encode("ascii")).hexdigest()


def _draw(*key: object) -> int:
    """A number in 0..2^256-1 that belongs to this key."""
    return int(_digest(*key), 16)


def _permutation(number: int, n: int) -> list[int]:
    """Fisher-Yates over 0..n-1, with the number's mixed-radix digits as its draws; even to 2^-200 for n <= 16."""
    items = list(range(n))
    for last in range(n - 1, 0, -1):
        number, at = divmod(number, last + 1)
        items[last], items[at] = items[at], items[last]
    return items


def item_hash(request: Request) -> str:
    """Hex SHA-256 of what is judged: the turns, the responses, the reference and the principles.

    The responses enter sorted, so that the same item in another caller's order has the same hash.
    """
    turns = [[turn["role"], turn["content"]] for turn in request.query]
    return _digest(turns, sorted(request.responses), request.reference, request.principles)


def _sorted_places(responses: Sequence[str], n: int) -> Sequence[int]:
    if len(responses) != n:
        raise InvalidInput(f"n: {n!r} is not usable; the request has {len(responses)} responses")
    return sorted(range(n), key=lambda at: (responses[at], at))


def orders(item: Request | str, n: int, k: int, seed: int = 0) -> list[tuple[tuple[int, ...], int]]:
    """The k samples' designs, (order, sample seed) each, with `order[shown] = caller's index`.

    The item's hash and the user's seed pick a base permutation. Its n rotations come in blocks of n samples, each block
    in its own sequence: in a whole block each response meets each slot once, and k samples show at most n orders.
    Sample j depends on (item, user's seed, j) only, never on k or on a row's place: the first 4 of 32 are the 4 of
    k = 4. The design is made over the sorted responses, so that the prompts stay the same when the caller's order
    changes: swapping two responses swaps their scores. (Equal texts are told apart by the caller's order.)

    Args:
        item: the request; or its `item_hash` alone, and then the orders speak of the responses' places when sorted.
        n: how many responses it has.
        k: how many samples.
        seed: the user's.

    Returns:
        k pairs; sample seeds are in 0..2^31-1.
    """
    places = range(n) if isinstance(item, str) else _sorted_places(item.responses, n)
    item = item if isinstance(item, str) else item_hash(item)
    base = [places[at] for at in _permutation(_draw(item, seed, "base"), n)]
    designs = []
    for start in range(0, k, n):
        turns = _permutation(_draw(item, seed, "block", start // n), n)
        for j, turn in zip(range(start, min(start + n, k)), turns, strict=False):
            designs.append((tuple(base[turn:] + base[:turn]), _draw(item, seed, "sample", j) % SEED_LIMIT))
    return designs


def _single_best(totals: Sequence[int]) -> int | None:
    top = max(totals)
    return totals.index(top) if len(totals) > 1 and totals.count(top) == 1 else None


def vote(
    critiques: Sequence[Critique],
    n: int,
    *,
    quorum: float = 0.5,
    k_meta: int | None = None,
    rule: str | None = None,
) -> RewardResult:
    """Make one result of the samples that may vote; unless told otherwise by their sum (arXiv 2504.02495, Eq 14).

    Args:
        critiques: all k samples of one request, failures included.
        n: how many responses they judge.
        quorum: least share of the k samples that must be OK, (0, 1]; at least one always must.
        k_meta: how many samples vote under a rule that ranks them; None means k // 2, at least 1. A sample without a
            meta score (a length, ...) cannot be among them, so fewer vote where fewer are rated. Other rules let all
            OK samples vote, whatever it is.
        rule: a name in `rules_grm.RULES`; None means `meta_topk` where k_meta is given (section 4, meta-RM-guided
            voting), else `sum`.

    Returns:
        `scores` are the voters' mean ballots: on the judge's own scale whatever k is, except under `majority`, where
        they are shares of the vote (for n > 1). `totals` are the sums, None under a rule that does not sum whole
        scores. Both are None, with no voters, below the quorum or where no OK sample has what the rule asks for. `best`
        is None on a tie and for n = 1.

    Raises:
        InvalidInput: k_meta below 1, or an unknown rule.
        ValueError: the samples judge another number of responses.
    """
    if k_meta is not None and k_meta < 1:
        raise InvalidInput(f"k_meta: {k_meta!r} is not usable; give a whole number of voters, at least 1, or None")
    found = find_rule(rule or ("sum" if k_meta is None else "meta_topk"))
    k = len(critiques)
    valid = [at for at, critique in enumerate(critiques) if critique.outcome is Outcome.OK]
    enough = bool(valid) and len(valid) / k >= quorum
    counted = tally([critiques[at] for at in valid], found, k_meta or default_k_meta(k)) if enough else None
    if counted and len(counted.votes) != n:
        raise ValueError(f"n: {n} responses, but the samples score {len(counted.votes)}")
    points = found.unit * counted.weight if counted else 0
    return RewardResult(
        scores=tuple(votes / points for votes in counted.votes) if counted else None,
        totals=counted.votes if counted and found.sums_scores else None,
        best=_single_best(counted.votes) if counted else None,
        critiques=tuple(critiques),
        voters=tuple(valid[at] for at in counted.voters) if counted else (),
        k=k,
        n_valid=len(valid),
    )
