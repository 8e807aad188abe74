"""What must not, or need not, be trained on: licences that were not agreed to, and items that a reference model solves.

    check_licences(items, allow=("cc-by-4.0",))
    kept = without(items, solved(store_folder, items, samples=3))

Knows nothing about where items come from.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..scoring_grm import score_range
from ..types_grm import InvalidInput, Outcome, Request
from .preference import Preference, Report
from .spct import correct

ALLOWED = ("apache-2.0", "mit")
_COLUMNS = ["item", "sample", "outcome", "scores", "response_hashes"]


def check_licences(items: Iterable[Preference], allow: Sequence[str] = ()) -> None:
    """Refuse items whose licence is not on the list; letter case aside, a licence is compared as it is written.

    Args:
        items: to be trained on.
        allow: licences beside `ALLOWED`, `none stated` among them where that is meant.

    Raises:
        InvalidInput: the licences that are not allowed, by name, with the sources and numbers of their items.
    """
    refuse_licences(Counter((item.licence, item.source) for item in items), allow)


def refuse_licences(counts: Mapping[tuple[str, str], int], allow: Sequence[str] = ()) -> None:
    """The same for rows that were counted by (licence, source).

    Raises:
        InvalidInput: see `check_licences`.
    """
    allowed = {name.lower() for name in (*ALLOWED, *allow)}
    refused = Counter({named: rows for named, rows in counts.items() if named[0].lower() not in allowed})
    if refused:
        named = "; ".join(f"{licence!r} ({rows} rows of {source})" for (licence, source), rows in refused.most_common())
        raise InvalidInput(
            f"licence: not on the list of {', '.join(sorted(allowed))}: {named}; leave these rows out, or allow the "
            "licence by name"
        )


def judgeable(
    items: Iterable[Preference],
    check: Callable[[Preference, str], Any],
    template: str,
    single_template: str,
    report: Report,
) -> Iterator[Preference]:
    """Items that the judge can take: they fit its context, and a single label is a score of the template.

    Args:
        items: in any order.
        check: refuses an item under a template (InvalidInput) that the judge cannot take.
        template: of items with two or more responses.
        single_template: of items with one.
        report: counts those that are left out, and why.

    Raises:
        InvalidInput: a template that asks for no scores.
    """
    for item in items:
        name = single_template if item.request.n == 1 else template
        low, high = score_range(name)
        try:
            check(item, name)
        except InvalidInput as error:
            report.lose(item.source, "does not fit the judge", f"{item.id}: {error}")
            continue
        if item.label is not None and not low <= item.label <= high:
            example = f"{item.id}: {item.label} is not in {low}..{high} ({name})"
            report.lose(item.source, "the label is no score of the template", example)
            continue
        yield item


def solved(store: str | Path, items: Iterable[Preference], samples: int = 3) -> set[str]:
    """The items that a reference model gets right in each of its first samples (section 3.2: 3 of 3).

    Args:
        store: folder of the reference model's trajectories.
        items: whose truth is known; an item without that many stored samples is not solved.
        samples: how many must all be correct.

    Returns:
        The items' hashes (`Preference.item`).

    Raises:
        InvalidInput: samples below 1, or no store.
        ImportError: without pyarrow.
    """
    if samples < 1:
        raise InvalidInput(f"samples: {samples!r} is not usable; give a whole number, at least 1")
    from ..trajectories import read

    known = {item.item: item for item in items}
    right: dict[str, set[int]] = defaultdict(set)
    for batch in read(store, _COLUMNS):
        for item, sample, outcome, scores, hashes in zip(*(batch[c].to_pylist() for c in _COLUMNS), strict=True):
            wanted = item in known and sample < samples and outcome == Outcome.OK.value
            if wanted and _is_right(known[item], scores, hashes):
                right[item].add(sample)
    return {item for item, numbers in right.items() if len(numbers) == samples}


def _is_right(item: Preference, scores: Sequence[int], hashes: Sequence[str]) -> bool:
    """Whether stored scores are correct; they stand in the store's own order of the responses."""
    best = None if item.best is None else hashes.index(_response_hashes(item.request)[item.best])
    return correct(scores, best, item.label)


def _response_hashes(request: Request) -> tuple[str, ...]:
    from ..trajectories.samples import response_hashes

    return response_hashes(request)


def without(items: Iterable[Preference], names: set[str]) -> list[Preference]:
    """The items that are not among those named by their hash."""
    return [item for item in items if item.item not in names]
