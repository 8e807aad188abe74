"""data/contrast: every rejected response has the defect that its row names, and no shortcut finds the better one.

Everything is checked twice: on a small source folder that is made here, and on the real one where it is present.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from made_sources import write_sources

from modeling_grm.data.contrast import __main__ as command
from modeling_grm.data.contrast.build import HUMAN_SHARE, build, split_of
from modeling_grm.data.contrast.defects import DEFECTS, last_number, with_answer
from modeling_grm.data.contrast.instructions import INSTRUCTIONS, Instruction
from modeling_grm.data.contrast.phrases import EMPTY, LANGUAGES, REFUSALS, pool
from modeling_grm.data.contrast.sources import (
    Seed,
    is_plain_english,
    read_seeds,
    sentences,
    trim,
    without_greeting,
    words,
)
from modeling_grm.parsing_grm import parse, scores_line_end
from modeling_grm.types_grm import Completion, Outcome, Request

Row = dict[str, Any]
TRAIN, TEST = 1200, 400

# --------------------------------------------------------------------------- the set


@dataclass(frozen=True)
class Contrast:
    """One folder's seeds and both splits."""

    folder: Path
    seeds: dict[str, Seed]
    train: list[Row]
    test: list[Row]

    @cached_property
    def leading(self) -> dict[str, set[str]]:
        """See `owners_of`."""
        return owners_of(self.seeds.values())

    @property
    def rows(self) -> list[Row]:
        """Both splits."""
        return self.train + self.test

    @property
    def pairs(self) -> list[Row]:
        """The balanced part of the test split."""
        return [row for row in self.test if len(row["responses"]) == 2 and row["subset"] != "human_preference"]


@pytest.fixture(scope="module", params=["made", "real"])
def contrast(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Contrast:
    """The set, from the folder made here and from the real one."""
    made = request.param == "made"
    folder = write_sources(tmp_path_factory.mktemp("train")) if made else request.getfixturevalue("grm_data") / "train"
    seeds = {seed.prompt: seed for seed in read_seeds(folder)}
    return Contrast(folder, seeds, build(folder, "train", TRAIN), build(folder, "test", TEST))


def made_of(row: Row) -> Iterator[tuple[str, str | None]]:
    """(response, its defect)."""
    return zip(row["responses"], row["meta"]["defects"], strict=True)


def is_human(row: Row) -> bool:
    """Whether a row is a human pair, which has no named defect."""
    return bool(row["subset"] == "human_preference")


def instruction_of(row: Row) -> Instruction:
    """The instruction at the end of the query."""
    return next(one for one in INSTRUCTIONS if row["conversation"][-1]["content"].endswith(one.ask))


def seed_of(row: Row, seeds: dict[str, Seed]) -> Seed:
    """What the row was made from."""
    ask = row["conversation"][-1]["content"]
    return seeds[ask.removesuffix(f" {instruction_of(row).ask}") if row["meta"]["kind"] == "instruction" else ask]


def owners_of(seeds: Iterable[Seed]) -> dict[str, set[str]]:
    """Whole leading sentences of each best response -> the prompts that it answers."""
    owners: dict[str, set[str]] = {}
    for seed in seeds:
        for start in leading(seed.good[0]):
            owners.setdefault(" ".join(start), set()).add(seed.prompt)
    return owners


def leading(text: str) -> list[list[str]]:
    """The words of the first sentence, of the first two, and so on."""
    parts = sentences(text)
    return [" ".join(parts[:count]).split() for count in range(1, len(parts) + 1)]


def starts(text: str, whole: str) -> bool:
    """Whether a text is whole leading sentences of another."""
    return text.split() in leading(whole)


def consists_of(text: str, phrases: tuple[str, ...]) -> bool:
    """Whether a text is some different phrases of the pool, one after another."""
    used = [phrase for phrase in phrases if phrase in text]
    for phrase in used:
        text = text.replace(phrase, "", 1)
    return bool(used) and not text.strip()


# --------------------------------------------------------------------------- each defect is what it claims


def _off_topic(text: str, row: Row, seed: Seed, contrast: Contrast) -> bool:
    owners = contrast.leading.get(" ".join(text.split()), set())
    return bool(owners) and seed.prompt not in owners and not any(starts(text, good) for good in seed.good)


def _scrambled(text: str, row: Row, seed: Seed, contrast: Contrast) -> bool:
    return any(text.split() != whole and Counter(text.split()) == Counter(whole) for whole in leading(seed.good[-1]))


def _cut_short(text: str, row: Row, seed: Seed, contrast: Contrast) -> bool:
    *before, last = text.split()
    whole = leading(seed.good[-1])[-1]
    goes_on = len(before) + 1 < len(whole) or last != whole[-1]
    its_start = before == whole[: len(before)] and whole[len(before)].startswith(last)
    return its_start and goes_on and text[-1] not in ".!?,;:"


def _repeated(text: str, row: Row, seed: Seed, contrast: Contrast) -> bool:
    times = {one: text.count(one) for one in sentences(seed.good[-1])}
    return any(count >= 3 and text == " ".join([one] * count) for one, count in times.items())


def _contentless(text: str, row: Row, seed: Seed, contrast: Contrast) -> bool:
    return consists_of(text, EMPTY)


def _refusal(text: str, row: Row, seed: Seed, contrast: Contrast) -> bool:
    return consists_of(text, REFUSALS)


def _wrong_language(text: str, row: Row, seed: Seed, contrast: Contrast) -> bool:
    return any(consists_of(text, phrases) and name in row["meta"]["target"] for name, phrases in LANGUAGES.items())


def _ignores_last_turn(text: str, row: Row, seed: Seed, contrast: Contrast) -> bool:
    earlier = contrast.seeds[row["conversation"][0]["content"]]
    return len(row["conversation"]) == 3 and earlier.prompt != seed.prompt and starts(text, earlier.good[-1])


def _wrong_number(text: str, row: Row, seed: Seed, contrast: Contrast) -> bool:
    said = last_number(text)
    works_out = last_number(seed.good[0])
    return said not in (None, works_out, seed.answer) and text == with_answer(seed.good[0], str(said))


def _breaks_instruction(text: str, row: Row, seed: Seed, contrast: Contrast) -> bool:
    return not instruction_of(row).holds(text) and starts(text, seed.good[-1])


CLAIMS: dict[str, Callable[[str, Row, Seed, Contrast], bool]] = {
    "off_topic": _off_topic,
    "scrambled": _scrambled,
    "cut_short": _cut_short,
    "repeated": _repeated,
    "contentless": _contentless,
    "refusal": _refusal,
    "wrong_language": _wrong_language,
    "ignores_last_turn": _ignores_last_turn,
    "wrong_number": _wrong_number,
    "breaks_instruction": _breaks_instruction,
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_what_it_claims(contrast: Contrast, defect: str) -> None:
    found = [(text, row) for row in contrast.rows for text, name in made_of(row) if name == defect]
    assert len(found) > 40
    wrong = [text for text, row in found if not CLAIMS[defect](text, row, seed_of(row, contrast.seeds), contrast)]
    assert not wrong, f"{len(wrong)} of {len(found)}: {wrong[:3]}"


def test_the_good_response_is_good(contrast: Contrast) -> None:
    for row in contrast.rows:
        seed = None if is_human(row) else seed_of(row, contrast.seeds)
        for text, defect in made_of(row):
            if seed is None or defect is not None:
                continue
            if row["meta"]["kind"] == "math":
                assert last_number(text) == seed.answer == last_number(seed.good[0])
            elif row["meta"]["kind"] == "instruction":
                assert instruction_of(row).holds(text), text
            else:
                assert starts(text, seed.good[0])


def test_one_is_good_and_the_others_are_not(contrast: Contrast) -> None:
    for row in contrast.rows:
        defects, labels, n = row["meta"]["defects"], row["labels"], len(row["responses"])
        assert n == len(defects) == len(labels)
        assert len(set(row["responses"])) == n
        if not is_human(row):
            assert row["subset"] in defects or n == 1
            assert len({name for name in defects if name}) == sum(name is not None for name in defects)
        if n > 1:
            assert row["best"] == labels.index(max(labels))
            assert labels.count(max(labels)) == 1
            assert is_human(row) or [at for at, name in enumerate(defects) if name is None] == [row["best"]]
        else:
            assert row["best"] is None


def test_rows_are_requests_and_their_licence_is_free(contrast: Contrast) -> None:
    assert {Request(row["conversation"], row["responses"]).n for row in contrast.rows} == {1, 2, 4}
    assert {row["license"] for row in contrast.rows} <= {"MIT", "Apache-2.0"}
    assert len({row["id"] for row in contrast.rows}) == len(contrast.rows)


# --------------------------------------------------------------------------- no shortcut


def _prompts(rows: list[Row]) -> set[str]:
    """The last turns of all rows, and all user turns of those that were made."""
    last = {row["conversation"][-1]["content"] for row in rows if is_human(row)}
    turns = [turn for row in rows if not is_human(row) for turn in row["conversation"]]
    made = {turn["content"] for turn in turns if turn["role"] == "user"}
    for instruction in INSTRUCTIONS:
        made = {text.removesuffix(f" {instruction.ask}") for text in made}
    return {text.strip().lower() for text in last | made}


def test_the_splits_share_no_prompt(contrast: Contrast) -> None:
    train, test = _prompts(contrast.train), _prompts(contrast.test)
    assert not train & test
    assert {split_of(prompt) for prompt in train} == {"train"}
    assert {split_of(prompt) for prompt in test} == {"test"}


def test_the_splits_share_no_phrase(contrast: Contrast) -> None:
    for phrases in (EMPTY, REFUSALS, *LANGUAGES.values()):
        assert len(phrases) == len(set(phrases))
        halves = {split: set(pool(phrases, split)) for split in ("train", "test")}
        assert halves["train"] | halves["test"] == set(phrases)
        for split, rows in (("train", contrast.train), ("test", contrast.test)):
            named = [text for row in rows for text, defect in made_of(row) if defect in POOLED]
            unseen = set(phrases) - halves[split]
            assert not [text for text in named if any(phrase in text for phrase in unseen)]


POOLED = ("contentless", "refusal", "wrong_language")


def _credit(rows: list[Row], measure: Callable[[str], float]) -> float:
    """How often the greatest measure is the best response's; a tie counts half."""
    credit = 0.0
    for row in rows:
        best, other = measure(row["responses"][row["best"]]), measure(row["responses"][1 - row["best"]])
        credit += 0.5 if best == other else float(best > other)
    return credit / len(rows)


def test_neither_length_nor_place_finds_the_better_one(contrast: Contrast) -> None:
    assert len(contrast.pairs) == TEST
    assert 0.45 <= sum(row["best"] == 0 for row in contrast.pairs) / TEST <= 0.55
    assert 0.45 <= _credit(contrast.pairs, words) <= 0.55
    assert 0.45 <= _credit(contrast.pairs, lambda text: -words(text)) <= 0.55
    assert 0.42 <= _credit(contrast.pairs, len) <= 0.58  # characters are not what was balanced


@pytest.mark.parametrize("defect", DEFECTS)
def test_each_defect_is_balanced_on_its_own(contrast: Contrast, defect: str) -> None:
    rows = [row for row in contrast.pairs if row["subset"] == defect]
    assert len(rows) == TEST // len(DEFECTS)
    assert 0.35 <= _credit(rows, words) <= 0.65  # equal lengths count half here, and for either side of the quota


def test_the_best_stands_equally_often_in_each_place(contrast: Contrast) -> None:
    for n in (2, 4):
        rows = [row for row in contrast.train if len(row["responses"]) == n]
        places = Counter(row["best"] for row in rows)
        assert set(places) == set(range(n))
        assert all(0.85 <= count * n / len(rows) <= 1.15 for count in places.values()), places


def test_single_responses_are_good_and_bad(contrast: Contrast) -> None:
    for rows in (contrast.train, contrast.test):
        singles = [row["meta"]["defects"][0] for row in rows if len(row["responses"]) == 1]
        assert 0.35 <= singles.count(None) / len(singles) <= 0.65
        assert len(set(singles)) > 7


def test_every_defect_is_the_main_one_equally_often(contrast: Contrast) -> None:
    counts = Counter(row["subset"] for row in contrast.train)
    human = counts.pop("human_preference")
    assert human == TRAIN // HUMAN_SHARE
    assert set(counts) == set(DEFECTS)
    assert max(counts.values()) - min(counts.values()) <= 1


# --------------------------------------------------------------------------- the judgements to learn


def test_every_judgement_is_read_as_its_labels(contrast: Contrast) -> None:
    for row in contrast.rows:
        target = row["meta"]["target"]
        critique = parse(Completion(target), range(len(row["responses"])))
        assert critique.outcome is Outcome.OK
        assert list(critique.scores or ()) == row["labels"]
        assert critique.principles
        assert critique.analysis
        assert sum(map(int, re.findall(r"\((\d+)%\)", critique.principles))) == 100
        assert scores_line_end(target + "\n") == len(target)
        assert critique.analysis.count("Response ") >= len(row["responses"])


def test_the_scores_vary(contrast: Contrast) -> None:
    counts = Counter(label for row in contrast.train for label in row["labels"])
    assert set(counts) <= set(range(1, 11))
    assert sum(count >= 0.03 * counts.total() for count in counts.values()) >= 6


def test_the_targets_are_distinct(contrast: Contrast) -> None:
    targets = [row["meta"]["target"] for row in contrast.train]
    assert len(set(targets)) >= 0.8 * len(targets)


# --------------------------------------------------------------------------- building


def test_building_is_deterministic(tmp_path: Path) -> None:
    folder = write_sources(tmp_path)
    first = build(folder, "train", 100)
    assert build(folder, "train", 100) == first
    assert build(folder, "train", 100, seed=1) != first
    assert len(first) == 100


def test_the_command_writes_both_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out = write_sources(tmp_path), tmp_path / "out"
    line = ["contrast", "--data", str(folder), "--out", str(out), "--train", "40", "--test", "20"]
    monkeypatch.setattr("sys.argv", line)
    command.main()
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    command.main()
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first
    rows = [json.loads(line) for line in gzip.decompress(first["train.jsonl.gz"]).decode().splitlines()]
    assert rows == build(folder, "train", 40)
    assert len(gzip.decompress(first["test.jsonl.gz"]).decode().splitlines()) >= 24


# --------------------------------------------------------------------------- parts


@pytest.mark.parametrize("instruction", INSTRUCTIONS, ids=lambda one: one.name)
def test_an_obeyed_instruction_holds(instruction: Instruction) -> None:
    text = "The garden, near the river, is old. The bridge is new! Is the market open? It is."
    assert not instruction.holds(text)
    assert instruction.holds(instruction.obey(text))


@pytest.mark.parametrize(
    ("text", "target", "trimmed"),
    [
        ("One two three four five. Six seven eight nine.", 5, "One two three four five. Six seven eight nine."),
        ("One two three four five. " + "Six " * 20 + "seven.", 5, "One two three four five."),
        ("One two. " + "Three " * 40 + "four.", 4, None),
        ("One two three four five and no end", 10, None),
        ("The answer to all of this is:\n1.", 10, None),
        ("", 10, None),
    ],
)
def test_trim_keeps_whole_sentences(text: str, target: int, trimmed: str | None) -> None:
    assert trim(text, target) == trimmed


def test_a_greeting_is_dropped_and_an_evasion_is_no_good_response() -> None:
    assert without_greeting("Sure! Of course. Boil it. Then wait.") == "Boil it.\nThen wait."
    assert without_greeting("Sorry, but I cannot. Ask again.") is None
    assert without_greeting("Sure! As an AI, I cannot.") is None
    assert without_greeting("Certainly!") is None


def test_plain_english_has_no_code_and_no_links() -> None:
    assert is_plain_english("Boil the water. It's hot.")
    for text in ("", "```x```", "See https://a.b", "<b>bold</b>", "茶是绿色的", "Say it in French."):
        assert not is_plain_english(text)
