"""The files of the pools but contrast: what is read of each, under which licence, and what is too odd.

    for entry in read_source(folder, SOURCES["prmbench"], report): ...

A file states its licence in its own words. `LICENCES` says which words mean MIT or Apache-2.0; all others stay as they
are, and the licence gate (`data.filters`) refuses them by name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from ...types_grm import InvalidInput, Request
from ..arithmetic import Solution, Unclear, Worked, read, wrong_solutions
from ..contrast.build import COUNTS
from ..contrast.defects import DEFECTS
from ..contrast.sources import words
from ..contrast.targets import GOOD_SCORES
from ..converters import convert
from ..preference import Preference, Report
from ..sources import read_records
from .entries import Entry, asked
from .targets import of_preference, of_solutions

Row = Mapping[str, Any]
MOST_WORDS = 1500
CARRIED = "carried_error"
RIGHT, WRONG = float(GOOD_SCORES["math"]), float(DEFECTS["wrong_number"].score)
"""What a right and a wrong worked solution deserve of 10: the contrast set's own scores."""
LICENCES = {
    "MIT": "MIT",
    "Apache-2.0": "Apache-2.0",
    "UltraFeedback is MIT; the carrying repo has no LICENSE": "MIT",
    "Apache-2.0 (repo); built on ASQA/Wikipedia": "Apache-2.0",
    "Apache-2.0 (repo); problems/solutions from PRM800K (MIT)": "Apache-2.0",
    "carrying repo STaR-Judge has no LICENSE; file is LLaMA-Factory demo data (upstream Apache-2.0, not verified)": (
        "Apache-2.0"
    ),
}
_MARKS = re.compile(r"\[The (?:Begin|End) of |Scores:\s*\\boxed|The best response is: Response", re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """One file.

    Attributes:
        file: its name.
        name: as the rows have it.
        pool: verifiable, human or whole.
        note: what a reader of the card should know.
        make: its rows as entries.
        criteria: of the judgement to learn, which names the topic; None where no rule can write one.
        only: the subset that is read; all of them if None.
    """

    file: str
    name: str
    pool: str
    note: str
    make: Callable[[Source, Row, Report], Iterator[Entry]]
    criteria: str | None = None
    only: str | None = None

    @property
    def label(self) -> str:
        """Pool and source, to count by."""
        return f"{self.pool}: {self.name}"


def read_source(folder: Path, source: Source, report: Report, most_words: int = MOST_WORDS) -> Iterator[Entry]:
    """The entries of a file; what is no item, or too odd, is dropped and counted.

    Raises:
        InvalidInput: there is no such file, or it cannot be read.
    """
    for row in _sound(folder, source, report, most_words):
        yield from source.make(source, row, report)


def readable(folder: Path, source: Source, report: Report, most_words: int = MOST_WORDS) -> Iterator[Preference]:
    """A file's items as they are; the same is dropped and counted.

    Raises:
        InvalidInput: there is no such file, or it cannot be read.
    """
    for row in _sound(folder, source, report, most_words):
        yield from _items(source, row, report)


def _sound(folder: Path, source: Source, report: Report, most_words: int) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(read_records(folder / source.file)):
        row = {**row, "id": f"{source.name}/{row.get('id', number)}"}
        odd = "of another subset" if source.only not in (None, row.get("subset")) else oddity(row, most_words)
        odd = odd or ("its solution is of another question" if _reworded(row) else None)
        if odd:
            report.drop(source.label, odd, str(row["id"]))
        else:
            yield row


# --------------------------------------------------------------------------- what is odd


def oddity(row: Row, most_words: int = MOST_WORDS) -> str | None:
    """Why a row is better left out, whatever its label says; None for a sound one."""
    texts = _texts(row)
    if texts is None:
        return "unusable: conversation or responses"
    return next((reason for reason, holds in ODD if holds(texts)), None) or (
        f"longer than {most_words} words" if sum(map(words, texts)) > most_words else None
    )


def _reworded(row: Row) -> bool:
    """Whether its file says that the question was changed, and not the solution that it calls right (PRMBench)."""
    about = row.get("meta")
    original = about.get("original_question") if isinstance(about, Mapping) else None
    return isinstance(original, str) and original.strip() != row["conversation"][-1]["content"].strip()


def _texts(row: Row) -> list[str] | None:
    """All texts of a row, the responses last; None where it does not have them."""
    turns, responses = row.get("conversation"), row.get("responses")
    if not isinstance(turns, list) or not isinstance(responses, list) or not turns or not responses:
        return None
    said = [turn.get("content") if isinstance(turn, dict) else None for turn in turns]
    texts = [*said, *responses]
    return [str(text) for text in texts] if all(isinstance(text, str) for text in texts) else None


def _is_control(character: str) -> bool:
    return (
        unicodedata.category(character) in ("Cc", "Cs", "Co") and character not in "\n\r\t"
    ) or character == "\ufffd"


ODD: tuple[tuple[str, Callable[[list[str]], bool]], ...] = (
    ("a text is empty", lambda texts: not all(text.strip() for text in texts)),
    ("not English", lambda texts: sum(map(len, texts)) * 0.9 > sum(sum(map(str.isascii, text)) for text in texts)),
    ("broken or control characters", lambda texts: any(map(_is_control, "".join(texts)))),
    ("a judge's own marks", lambda texts: any(_MARKS.search(text) for text in texts)),
)
"""Reason -> whether a row's texts have it."""


# --------------------------------------------------------------------------- a row as entries


def licence_of(row: Row) -> str:
    """In the words of `LICENCES`, or the row's own."""
    stated = str(row.get("license") or row.get("licence") or "none stated")
    return LICENCES.get(stated, stated)


def _items(source: Source, row: Row, report: Report) -> Iterator[Preference]:
    """The row by the house's converter; its reasons are counted under this source's pool."""
    found = convert([dict(row)], report, source=source.label, licence=licence_of(row), format="schema")
    return (replace(item, source=source.name) for item in found)


def _preferred(source: Source, row: Row, report: Report) -> Iterator[Entry]:
    for item in _items(source, row, report):
        target = None
        if source.criteria and item.labels:
            target = of_preference(source.criteria, asked(item.request.query), item.labels)
        yield Entry(item, source.pool, str(row.get("subset", "")), target=target)


def _solved(source: Source, row: Row, report: Report) -> Iterator[Entry]:
    """A right solution and one with an error of the named kind."""
    for item in _items(source, row, report):
        kind = str(row.get("subset", ""))
        defects = tuple(None if at == item.best else kind for at in range(item.request.n))
        yield Entry(item, source.pool, kind, defects)


def _calculated(source: Source, row: Row, report: Report) -> Iterator[Entry]:
    """A worked solution and wrong ones that a miscalculation gives; n goes by the row's own draw."""
    return _shown_as(lambda solution, _: solution, source, row, report)


def _marked(source: Source, row: Row, report: Report) -> Iterator[Entry]:
    """The same with the source's marks, and the answer in one of the ways that solvers have."""
    endings = ("The answer is {answer}.", "#### {answer}", "A: {answer}", "Answer: {answer}")
    return _shown_as(
        lambda solution, random: replace(solution, marked=True, ending=random.choice(endings)), source, row, report
    )


def _shown_as(
    style: Callable[[Solution, Random], Solution], source: Source, row: Row, report: Report
) -> Iterator[Entry]:
    question, name = row["conversation"][-1]["content"], str(row["id"])
    random = Random(f"carried {name}")
    n = random.choice(COUNTS)
    try:
        solution = style(read(row["responses"][0], question), random)
        wrong = [one for one, _ in zip(wrong_solutions(solution, random), range(max(1, n - 1)), strict=False)]
    except Unclear as error:
        report.drop(source.label, f"its calculations cannot be followed ({_plain(error)})", name)
        return
    if len(wrong) < max(1, n - 1):
        report.drop(source.label, "not enough wrong answers that are clear", name)
        return
    report.keep(source.label)
    shown = [solution.right, *wrong] if n > 1 else [random.choice((solution.right, wrong[0]))]
    yield _worked(source, row, shown, solution.right)


def _plain(error: Unclear) -> str:
    """The reason without the text that it names, to count by."""
    return re.sub(r"^['\"].*['\"] ", "one ", str(error))


def _worked(source: Source, row: Row, shown: list[Worked], right: Worked) -> Entry:
    labels = tuple(RIGHT if one == right else WRONG for one in shown)
    request = Request(row["conversation"], [one.text for one in shown], row.get("reference"))
    best = shown.index(right) if len(shown) > 1 else None
    item = Preference(request, best, labels, source.name, licence_of(row), f"{row['id']}-carried")
    defects = tuple(None if one == right else CARRIED for one in shown)
    target = of_solutions(str(source.criteria), asked(request.query), shown, labels)
    return Entry(item, source.pool, CARRIED, defects, programmatic=True, target=target)


SOURCES: dict[str, Source] = {
    "prmbench": Source(
        "prmbench_pairs.jsonl.gz", "PRMBench", "verifiable",
        "a right solution of PRM800K and one with an error that a model put in; the subset names the kind", _solved,
    ),
    "gsm8k": Source(
        "gsm8k_problems.jsonl.gz", "GSM8K", "verifiable",
        "train split; the right solution is the source's, wrong ones have one step miscalculated and carried through",
        _calculated, 'a right number for "{topic}" (60%), working that leads to it (40%)',
    ),
    "gsm8k-marked": Source(
        "gsm8k_problems.jsonl.gz", "GSM8K, marked", "verifiable",
        "the same, with the source's marks on the calculations, as solvers write them that learnt from it",
        _marked, 'a right number for "{topic}" (60%), working that leads to it (40%)',
    ),
    "hh-rlhf": Source(
        "hh_rlhf_harmless_test.jsonl.gz", "hh-rlhf", "human",
        "harmless, the source's test split: people's attacks on an assistant, and which reply they found less harmful",
        _preferred, 'no help with harm in "{topic}" (60%), honesty and respect (40%)',
    ),
    "qa-feedback": Source(
        "qa_feedback_dev.jsonl.gz", "QA-Feedback", "human",
        "four answers ranked by people; the prompts quote passages of Wikipedia, which has a licence of its own "
        "(CC BY-SA)", _preferred, 'an answer to "{topic}" (60%), completeness (20%), clarity (20%)',
    ),
    "ultrafeedback": Source(
        "ultrafeedback_sample.jsonl.gz", "UltraFeedback", "human",
        "the preference is GPT-4's, not a person's; MIT by the dataset's card, the copy that was read states none",
        _preferred, 'relevance to "{topic}" (50%), completeness (30%), clarity (20%)',
    ),
    "llama-factory": Source(
        "llamafactory_dpo_demo.jsonl.gz", "LLaMA-Factory", "human",
        "the English half of its DPO demonstration file; Apache-2.0 by the repository, which nobody has verified for "
        "the rows", _preferred, 'relevance to "{topic}" (50%), completeness (30%), clarity (20%)', "dpo_en_demo",
    ),
}  # fmt: skip


def check_files(folder: Path, names: Iterator[str]) -> None:
    """All files are there.

    Raises:
        InvalidInput: some are not, by name.
    """
    missing = sorted({name for name in names if not (folder / name).is_file()})
    if missing:
        raise InvalidInput(f"data: {folder} lacks {', '.join(missing)}; name the folder that holds the source files")
