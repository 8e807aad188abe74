"""The store's README.md: a dataset card of its own facts, so that the folder loads and can be pushed as it is.

    datasets.load_dataset(folder)
    huggingface_hub.upload_folder(repo_type="dataset", repo_id=..., folder_path=folder, ignore_patterns=[".lock"])

A README.md that someone else wrote stays as it is.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from .arrow import pc
from .reading import read
from .schema import COLUMNS
from .shards import load_about, put_text, shards

MARK = "<!-- written by the trajectory store; remove this line to keep a card of your own -->"
_SIZES = (
    (10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"),
)  # fmt: skip
_HUB_LICENCES = {"apache-2.0": "apache-2.0", "mit": "mit"}
SHOWN = ("model", "revision", "adapter", "backend", "template", "temperature", "top_p", "max_new_tokens", "run_seed")


def write_card(folder: Path) -> None:
    """Write the card of what the store holds now, unless there is nothing or someone else's card."""
    path = folder / "README.md"
    if not shards(folder, "data") or (path.exists() and MARK not in path.read_text(encoding="utf-8")):
        return
    put_text(path, card(folder))


def card(folder: Path) -> str:
    """The card's text."""
    about = load_about(folder)
    counts = counted(folder)
    return "\n".join(
        [
            *_front_matter(folder, counts),
            MARK,
            "",
            *_summary(about, counts),
            *_table(("outcome", "samples"), sorted(counts["outcome"].items())),
            *_settings(about),
            "## Columns",
            "",
            *_table(("column", "type", "what it holds"), ((f"`{c.name}`", f"`{c.type}`", c.note) for c in COLUMNS)),
            *_use(folder),
        ]
    )


def counted(folder: Path) -> dict[str, Counter[Any]]:
    """How many samples there are by `item`, `outcome`, `source` and `licence`."""
    counts: dict[str, Counter[Any]] = {name: Counter() for name in ("item", "outcome", "source", "licence")}
    for batch in read(folder, list(counts)):
        for name, counter in counts.items():
            for found in pc.value_counts(batch[name]).to_pylist():
                counter[found["values"]] += found["counts"]
    return counts


def _front_matter(folder: Path, counts: dict[str, Counter[Any]]) -> list[str]:
    samples = counts["outcome"].total()
    size = next((name for limit, name in _SIZES if samples < limit), "n>10M")
    licences = {_HUB_LICENCES.get((licence or "").lower()) for licence in counts["licence"]}
    licence = licences.pop() if len(licences) == 1 else None
    meta = ["- config_name: meta", "  data_files: meta/*.parquet"] * bool(shards(folder, "meta"))
    return [
        "---",
        *[f"license: {licence}"] * bool(licence),
        *["tags:", "- reward-model", "- generative-reward-model", "- llm-as-a-judge", "- trajectories"],
        f"size_categories:\n- {size}",
        *["configs:", "- config_name: default", "  default: true", "  data_files: data/*.parquet", *meta],
        "---",
        "",
    ]


def _summary(about: dict[str, Any], counts: dict[str, Counter[Any]]) -> list[str]:
    kept = "with their texts" if about["text"] else "without texts: hashes, scores, labels and outcomes only"
    licences = ", ".join(sorted({licence or "not stated" for licence in counts["licence"]}))
    sources = ", ".join(sorted({source or "not stated" for source in counts["source"]}))
    return [
        "# Sampled judgements of a generative reward model",
        "",
        f"{counts['outcome'].total():,} samples of {len(counts['item']):,} items, {kept}. Every sample is kept, "
        "failures under their names too; votes over any k, and any voting rule, can be computed from them without the "
        "model.",
        "",
        f"- Sources: {sources}",
        f"- Licences of the rows, as their sources state them: {licences}",
        "",
    ]


def _settings(about: dict[str, Any]) -> list[str]:
    said = [[json.dumps(one[name]) for name in SHOWN] for one in about["settings"].values()]
    rows = [(f"`{digest}`", *values) for digest, values in zip(about["settings"], said, strict=True)]
    return ["## Settings", "", *_table(("settings", *SHOWN), rows)]


def _table(header: tuple[str, ...], rows: Any) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in line)} |" for line in lines] + [""]


def _use(folder: Path) -> list[str]:
    rated = "; join the config `meta` for ratings (`read` does)" * bool(shards(folder, "meta"))
    return [
        "## Use",
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        'samples = load_dataset("path/or/repo", split="train")',
        "```",
        "",
        "A `key` comes twice only where an engine had failed and the sample was made again: the row of the later file "
        f"counts{rated}. `modeling_grm.trajectories.read(folder)` gives each sample once.",
        "",
    ]
