"""A report as what a model's page shows: evaluation entries in `.eval_results/`, and the card's table.

    entry_files(report) -> {".eval_results/llmbar.yaml": "- dataset:\\n    id: princeton-nlp/LLMBar\\n ..."}

A partial result is no result of the benchmark: it stands in the table, marked, and never among the entries. Knows the
report and the Hub's format, nothing about how figures came about.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
from huggingface_hub.utils import yaml_dump

from .tables import HEADINGS, headline_rows, interval, table

FOLDER = ".eval_results"


def eval_entries(report: Mapping[str, Any], **source: str) -> dict[str, list[EvalResultEntry]]:
    """The Hub's entries of each whole benchmark that is one dataset there, by the benchmark's name.

    Args:
        report: of a run.
        source: `source_url` of the report, with `source_name`, `source_user` or `source_org`; `date` (ISO 8601).
    """
    return {
        name: [
            EvalResultEntry(
                dataset_id=part["hub_id"][0],
                task_id=name,
                value=part["headline"]["value"],
                notes=_notes(report, part),
                **source,
            )
        ]
        for name, part in report["benchmarks"].items()
        if len(part["hub_id"]) == 1 and not part["partial"] and part["headline"]["value"] is not None
    }


def _notes(report: Mapping[str, Any], part: Mapping[str, Any]) -> str:
    """How it was judged, in one line."""
    settings, vote = report["judge"].get("settings") or {}, part["vote"]
    said = [part["headline"]["name"], f"95% interval {interval(part['headline'])}"]
    said += [f"k = {vote['k']}, vote: {vote['rule']}"] if vote else [report["judge"]["kind"]]
    said += [f"{name} {settings[name]}" for name in ("template", "temperature") if settings.get(name) is not None]
    return "; ".join([*said, f"modeling-grm {report['modeling_grm']}"])


def entry_files(report: Mapping[str, Any], **source: str) -> dict[str, str]:
    """Path in the model's repository -> YAML, one file a benchmark."""
    return {
        f"{FOLDER}/{name}.yaml": yaml_dump(eval_result_entries_to_yaml(entries))
        for name, entries in eval_entries(report, **source).items()
    }


def card_table(report: Mapping[str, Any]) -> str:
    """The table of a model card, partial results marked as such."""
    return table(HEADINGS, headline_rows(report))
