"""What a benchmark run says: figures with their intervals, tables, pictures, and entries for a model's page.

    answers = answered(items, stored, Ballot(k=8))
    report = run_report(judge, [benchmark_report("llmbar", loaded, answers, Ballot(k=8))])
    write(report, Path("report"))              report.json and report.md; write_pictures draws

All of it comes from the items and the stored samples; nothing is typed by hand and no model is asked.
"""

from __future__ import annotations

from .answers import Answers, Ballot, Stored, answered, chosen_settings, load_stored, note_refusal, refusals
from .entries import card_table, entry_files, eval_entries
from .figures import HEURISTICS, benchmark_report, judge_of, run_report, sizes
from .writing import read_report, write, write_pictures

__all__ = [
    "HEURISTICS",
    "Answers",
    "Ballot",
    "Stored",
    "answered",
    "benchmark_report",
    "card_table",
    "chosen_settings",
    "entry_files",
    "eval_entries",
    "judge_of",
    "load_stored",
    "note_refusal",
    "read_report",
    "refusals",
    "run_report",
    "sizes",
    "write",
    "write_pictures",
]
