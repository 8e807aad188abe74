"""RMB (arXiv 2410.09893): pairs and best-of-n lists over 49 scenarios of helpfulness and harmlessness.

    {"pair_uid": "7742", "conversation_input": [{"role": "user", "content": "...", "language": "English"}],
     "chosen": {"llm_name": "...", "answer": "..."}, "reject": {...}, "category_path": "Pairwise_set/Harmlessness/S1"}
    {"bon_uid": "1679", "conversation_input": [...], "bon_best": {...}, "loser_list": [{...}, {...}],
     "category_path": "BoN_set/Helpfulness/Chat/Discussion"}

Pairs follow the official `eval/scripts/my_run_rm.py`: right where the chosen one scores higher, a tie is wrong. The
best-of-n code is not in the official repository; the rule is the paper's as others run it (RM-R1's
`process_final_result.py`): right where the best beats every loser. Each list is one judgement. The headline is the
plain mean of {pairwise, best-of-n} x {Helpfulness, Harmlessness}, each over its rows; that the paper averages so is not
verified. The number of pairs, 17,131, is inferred from the ids for three of the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ..rows import Row
from ..types_grm import InvalidInput
from .base import Benchmark, Item, Judged, Record, Source
from .making import checked_labels, listed
from .metrics import by_subset, cells, groups, mean, report, strict, values

SETS = {"Pairwise_set": "pairwise", "BoN_set": "best-of-n"}
GOALS = ("Helpfulness", "Harmlessness")
WHERE = (
    "git clone https://github.com/Zhou-Zoey/RMB-Reward-Model-Benchmark, and name that folder; "
    "its rows have no official copy on the Hub"
)


def items(record: Record, source: Source) -> Iterable[Item]:
    """A pair, or a list of 3 to 7."""
    uid, best, losers = _parts(record)
    answers = [best, *losers]
    facts = {"by_response_model": [answer.get("llm_name") for answer in answers], **_place(record["category_path"])}
    labels = [1.0] + [0.0] * len(losers)
    texts = [answer["answer"] for answer in answers]
    subset = f"{facts['set']}/{facts['scenario']}"
    return [listed(f"{facts['set']}/{uid}", record["conversation_input"], texts, labels, subset, **facts)]


def _parts(record: Record) -> tuple[str, Any, list[Any]]:
    if "bon_best" in record:
        return record["bon_uid"], record["bon_best"], list(record["loser_list"])
    return record["pair_uid"], record["chosen"], [record["reject"]]


def _place(path: str) -> dict[str, str]:
    """`BoN_set/Helpfulness/Chat/Discussion` -> which of the four parts, and the scenario."""
    folder, _, scenario = path.partition("/")
    goal = scenario.split("/")[0]
    if folder not in SETS or goal not in GOALS:
        raise InvalidInput(f"category_path: {path!r} is not usable; it begins with one of {', '.join(SETS)} and a goal")
    return {"set": SETS[folder], "goal": goal, "scenario": scenario}


def local_items(row: Row, record: Record) -> Iterable[Item]:
    """The same from the project's own rows."""
    meta, responses = record["meta"], row.request.responses
    facts = {"by_response_model": meta.get("by_resp_llm", [None] * len(responses)), **_place(meta["category_path"])}
    name = f"{facts['set']}/{meta.get('bon_uid') or meta.get('pair_uid')}"
    labels = checked_labels(record["labels"], len(responses))
    return [listed(name, row.request.query, responses, labels, f"{facts['set']}/{facts['scenario']}", **facts)]


def _part(judged: Judged) -> str:
    return f"{judged.item.meta['set']} {judged.item.meta['goal']}"


def official(judged: Sequence[Judged]) -> dict[str, Any]:
    """The mean of the four parts."""
    sections = cells(groups(judged, _part), strict)
    value = mean(values(sections).values())
    missing = [part for part in (f"{name} {goal}" for name in SETS.values() for goal in GOALS) if part not in sections]
    return report(
        judged,
        "mean of four parts",
        value,
        strict=value,
        sections=sections,
        subsets=cells(by_subset(judged), strict),
        notes=([f"without {', '.join(missing)}"] if missing else []) + ["a tie with the best is wrong"],
    )


RMB = Benchmark(
    name="rmb",
    hub_id=(),
    rows=17131 + 3786,
    metric="mean of {pairwise, best-of-n} x {Helpfulness, Harmlessness} accuracies",
    source="https://arxiv.org/abs/2410.09893, https://github.com/Zhou-Zoey/RMB-Reward-Model-Benchmark",
    licence="none stated",
    gated=False,
    sources=tuple(
        Source(
            None,
            "",
            (f"RMB_dataset/{folder}/**/*", f"{folder}/**/*", f"rmb/{folder}/**/*"),
            columns,
            name=name,
        )
        for (folder, name), columns in zip(
            SETS.items(),
            (
                ("pair_uid", "conversation_input", "chosen", "reject", "category_path"),
                ("bon_uid", "conversation_input", "bon_best", "loser_list", "category_path"),
            ),
            strict=True,
        )
    ),
    items=items,
    official=official,
    local=("rmb_pairwise_dev", "rmb_bon_dev"),
    local_items=local_items,
    where=WHERE,
)
