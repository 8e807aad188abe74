"""The card of a folder of sampled judgements: what they are, where they come from, and what was kept of how many."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
HUB_LICENCES = ("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0")
COLUMNS = (
    ("prompt", "the judge's input as chat messages, without a hint"),
    ("completion", "the judgement, one assistant's message"),
    ("id, source, licence", "of the preference row"),
    ("item", "hash of what is judged, the same in every order of its responses"),
    ("sample", "which of the item's samples, from 0; hinted ones count by themselves"),
    ("hinted", "it was sampled with the best response named at the end of the prompt"),
    ("n, order", "responses, and `order[shown]` = index in the row's own order"),
    ("scores", "what the judgement gives, in the row's own order"),
    ("best, label", "the truth: the best response's index, or the right score of a single one"),
)
VERDICTS = ("samples", "kept", "incorrect", "too easy", "not made")


def write_card(folder: Path, rows: list[dict[str, Any]], said: dict[str, Any]) -> None:
    """Write `README.md`."""
    (folder / "README.md").write_text("\n".join([*_front_matter(rows), *_body(rows, said)]) + "\n", encoding="utf-8")


def _front_matter(rows: list[dict[str, Any]]) -> list[str]:
    licences = {row["licence"].lower() for row in rows}
    known = sorted(licences & set(HUB_LICENCES)) if licences <= set(HUB_LICENCES) else ["other"]
    size = next((name for limit, name in SIZES if len(rows) < limit), "n>10M")
    return [
        "---",
        *(["license: " + known[0]] if len(known) == 1 else ["license:", *(f"- {name}" for name in known)]),
        *("task_categories:", "- text-generation", "tags:", "- reward-model", "- generative-reward-model", "- spct"),
        *("size_categories:", f"- {size}", "configs:", "- config_name: default"),
        *("  data_files:", "  - split: train", "    path: data/train-*.parquet", "---", ""),
    ]


BY_RULE = (
    "SPCT's rejection rules kept them (arXiv 2504.02495, section 3.2): a judgement is correct when the labelled best",
    "response has the highest score alone (a single response: the labelled score). Incorrect ones are dropped; so",
    "are the non-hinted ones of an item that all of them get right; hinted ones are dropped only if incorrect.",
)
AS_READ = ("An ablation: nothing was rejected but what could not be read, so right and wrong ones are here.",)
NO_PRINCIPLES = ("An ablation: their principles were taken out.",)


def _body(rows: list[dict[str, Any]], said: dict[str, Any]) -> list[str]:
    licences = Counter(row["licence"] for row in rows)
    judge, settings = said["judge"], said["settings"]
    return [
        "# Judgements from rejective sampling",
        "",
        f"{len(rows)} judgements of preference items, sampled from `{judge['model']}` ({judge['backend']}).",
        *(BY_RULE if judge["rejection"] else AS_READ),
        *(() if judge["principles"] else NO_PRINCIPLES),
        "",
        *(f"- {name}: {value}" for name, value in settings.items() if value is not None),
        "",
        "| source | samples | " + " | ".join(VERDICTS) + " |",
        "|---|---|" + "---|" * len(VERDICTS),
        *(
            f"| {source} | {kind} | " + " | ".join(str(found[kind][verdict]) for verdict in VERDICTS) + " |"
            for source, found in said["sampled"].items()
            for kind in ("free", "hinted")
        ),
        "",
        "Licences of the rows, as their sources state them: "
        + ", ".join(f"{name} ({number})" for name, number in licences.most_common())
        + ". The judgements come under the judge's own terms too.",
        "",
        "| column | what it holds |",
        "|---|---|",
        *(f"| {name} | {note} |" for name, note in COLUMNS),
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        'rows = load_dataset("this/folder", split="train")  # prompt and completion, as TRL\'s SFTTrainer takes them',
        "```",
    ]
