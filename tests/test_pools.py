"""data/pools: what is read, what is too odd, wrong arithmetic that is carried through, and balance."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sources import write_sources

from modeling_grm.data.arithmetic import (
    NUMBER,
    Check,
    Solution,
    Unclear,
    calculated,
    read,
    value,
    written,
    wrong_solutions,
)
from modeling_grm.data.contrast.build import split_of
from modeling_grm.data.contrast.grown import PARTS, part_of
from modeling_grm.data.contrast.instructions import INSTRUCTIONS
from modeling_grm.data.contrast.sources import read_seeds, words
from modeling_grm.data.converters import detect
from modeling_grm.data.filters import check_licences
from modeling_grm.data.pools.balance import balanced, baselines, ranks, signs
from modeling_grm.data.pools.entries import SHARED, Entry, apart, asked
from modeling_grm.data.pools.sources import (
    CARRIED,
    LICENCES,
    RIGHT,
    SOURCES,
    WRONG,
    check_files,
    oddity,
    read_source,
)
from modeling_grm.data.pools.targets import of_preference, of_solutions
from modeling_grm.data.preference import Preference, Report
from modeling_grm.data.sources import read_records
from modeling_grm.parsing_grm import parse
from modeling_grm.types_grm import Completion, Critique, InvalidInput, Request

# --------------------------------------------------------------------------- arithmetic

CLIPS = "He sold 96/2 = <<96/2=48>>48 clips.\nThat is 96+48 = <<96+48=144>>144 clips.\n#### 144"


def test_a_wrong_step_is_carried_through() -> None:
    solution = read(CLIPS, "He has 96 clips.")
    assert solution.right.text == "He sold 96/2 = 48 clips.\nThat is 96+48 = 144 clips.\nThe answer is 144."
    worked = solution.wrong(0, 2)
    assert worked.text == "He sold 96/2 = 50 clips.\nThat is 96+50 = 146 clips.\nThe answer is 146."
    assert worked.answer == "146"
    assert worked.checks == (Check("96/2", "48", "50"), Check("96+50", "146", "146"))


@pytest.mark.parametrize(
    ("working", "question", "said"),
    [
        (CLIPS, "He has 48 bags of 96 clips.", "48 is there before"),
        ("It is 2*3 = <<2*3=6>>6.\nIn 6 days 6*4 = <<6*4=24>>24.\n#### 24", "", "6 may be another thing later"),
        ("It is 9-5 = <<9-5=4>>4, not 8/2 = <<8/2=4>>4.\nSo 4+0 = <<4+0=4>>4.\n#### 4", "", "4 may be another thing"),
        ("It is 9*5 = <<9*5=45>>45.\nHalf: 45/5 = <<45/5=9>>9.\n#### 9", "", "9 is there before|cannot be written"),
    ],
)
def test_a_number_that_may_be_two_things_is_left_alone(working: str, question: str, said: str) -> None:
    with pytest.raises(Unclear, match=said):
        read(working, question).wrong(0, 1)


@pytest.mark.parametrize(
    "working",
    [
        "It is 7.\n#### 7",
        "It is 2*3 = <<2*3=7>>7.\n#### 7",
        "It is 2*3=6, and so 6+1 = <<6+1=7>>7.\n#### 7",
        "It is 2*3 = <<2*3=6>>6.\n#### 7",
        "It is 2*3 = <<2*3=6>>six.\n#### 6",
        "It is 2**3 = <<2**3=8>>8.\n#### 8",
        "It is 2/0 = <<2/0=8>>8.\n#### 8",
        "It is open('x') = <<open('x')=8>>8.\n#### 8",
        "It is 2*3 = <<2*3=6>>6.",
        "",
    ],
)
def test_what_cannot_be_followed_is_no_solution(working: str) -> None:
    with pytest.raises(Unclear):
        read(working)


@settings(deadline=None)
@given(st.text())
def test_any_text_is_read_or_unclear(text: str) -> None:
    for made in (text, f"<<{text}=1>>1\n#### 1", f"1+1 = <<1+1={text}>>2\n#### {text}"):
        try:
            read(made, text)
        except Unclear:
            continue


@settings(deadline=None)
@given(st.integers(-9999, 9999), st.integers(1, 999), st.sampled_from("+-*/"))
def test_a_calculation_comes_to_what_it_says(a: int, b: int, sign: str) -> None:
    expected = {"+": Fraction(a) + b, "-": Fraction(a) - b, "*": Fraction(a) * b, "/": Fraction(a, b)}[sign]
    assert calculated(f"{a}{sign}{b}") == expected
    assert calculated(f"({a:,}){sign}{b}") == expected


@settings(deadline=None)
@given(st.fractions(), st.sampled_from(["7", "7.5", "7.50", "7,000", "1,007.25"]))
def test_a_number_is_written_as_it_is_or_not_at_all(number: Fraction, like: str) -> None:
    try:
        shown = written(number, like)
    except Unclear:
        return
    assert number > 0
    assert len(shown.partition(".")[2]) == len(like.partition(".")[2])
    assert abs(value(shown) - number) <= Fraction(1, 10**6) * number


@st.composite
def chains(draw: Any) -> str:
    """A solution of some steps, each going on from the one before."""
    total = draw(st.integers(101, 400))
    lines, start = [], total
    for _ in range(draw(st.integers(1, 4))):
        sign, by = draw(st.sampled_from([("+", 17), ("*", 3), ("-", 13), ("+", 29)]))
        new = int(calculated(f"{start}{sign}{by}"))
        lines.append(f"Then there are {start}{sign}{by} = <<{start}{sign}{by}={new}>>{new} pens.")
        start = new
    return "\n".join(lines) + f"\n#### {start}"


@settings(deadline=None, max_examples=40)
@given(chains(), st.integers())
def test_a_wrong_solution_has_one_wrong_equation(working: str, seed: int) -> None:
    solution = read(working)
    assert not _wrong_equations(solution.right.text)
    found = list(wrong_solutions(solution, Random(seed)))
    made = [worked.text for worked in found]
    answers = [text.rpartition(" ")[2].rstrip(".") for text in made]
    assert len(set(answers)) == len(answers)
    assert solution.answer not in answers
    for text, answer in zip(made, answers, strict=True):
        wrong = _wrong_equations(text)
        assert len(wrong) == 1
        assert len(solution.steps) == 1 or wrong[0] < len(solution.steps) - 1
        assert text.splitlines()[-2].endswith(f"= {answer} pens.")
    for worked in (solution.right, *found):
        off = [at for at, check in enumerate(worked.checks) if check.comes_to != check.said]
        assert off == _wrong_equations(worked.text)
        assert all(calculated(check.expression) == value(check.comes_to) for check in worked.checks)


def _wrong_equations(text: str) -> list[int]:
    found = re.findall(rf"([\d.,+*/ ()-]+?)\s*=\s*({NUMBER.pattern})", text)
    return [at for at, (left, right) in enumerate(found) if calculated(left) != value(right)]


def test_real_solutions_are_followed_and_made_wrong(grm_data: Path) -> None:
    entries = list(islice(read_source(grm_data / "train", SOURCES["gsm8k"], Report()), 400))
    plain = 0
    for entry in entries:
        for text, defect in zip(entry.item.request.responses, entry.defects or (), strict=True):
            right = value(text.rpartition(" ")[2].rstrip(".")) == value(entry.item.request.reference or "")
            assert right == (defect is None), text
            equations = _plain_equations(text)
            if len(equations) == text.count("="):
                plain += 1
                wrong = [found for found in equations if calculated(found[0]) != value(found[1])]
                assert len(wrong) == (defect is not None), (text, wrong)
    assert plain > 50


def _plain_equations(text: str) -> list[tuple[str, str]]:
    """The equations between numbers alone: those with units and percentages are none."""
    bare = re.sub(r"[ $]", "", text.replace(" x ", "*").replace("–", "-"))
    number = rf"(?:{NUMBER.pattern})"
    return re.findall(rf"(?<![\d.%)*/+-])({number}(?:[-+*/]{number})+)=({number})(?![\d%])", bare)


# --------------------------------------------------------------------------- targets


def test_a_worked_solution_is_calculated_again_up_to_its_mistake() -> None:
    solution = read(CLIPS, "He has 96 clips.")
    shown = [solution.wrong(0, 2), solution.right]
    draft = of_solutions('"{topic}" is right (100%)', "How many clips did he sell in all?", shown, [2.0, 10.0])
    assert str(draft) == (
        'Specific Criteria: "How many clips did he sell" is right (100%).\n'
        "Analysis: Response 1 works out 96/2=48 has 50 no. Response 1: wrong, 2/10. "
        "Response 2 works out 96/2=48 has 48 yes, 96+48=144 has 144 yes and answers 144. Response 2: right, 10/10.\n"
        "Scores: \\boxed{2, 10}"
    )
    assert str(draft.ordered([1, 0])).endswith("\\boxed{10, 2}")


@pytest.mark.parametrize("working", ["Half of 96 is <<96/2=48>>48.\n#### 48", "It is 2*48 = <<48*2=96>>96.\n#### 96"])
def test_a_calculation_that_is_not_written_out_cannot_be_quoted(working: str) -> None:
    assert of_solutions("{topic}", "How many?", [read(working).right], [10.0]) is None


def test_marked_solutions_keep_the_sources_marks() -> None:
    solution = replace(read(CLIPS, "He has 96 clips."), marked=True, ending="A: {answer}")
    assert solution.right.text == "He sold 96/2 = <<96/2=48>>48 clips.\nThat is 96+48 = <<96+48=144>>144 clips.\nA: 144"
    wrong = solution.wrong(0, 2)
    assert wrong.text == "He sold 96/2 = <<96/2=50>>50 clips.\nThat is 96+50 = <<96+50=146>>146 clips.\nA: 146"
    assert wrong.answer == "146"
    thousand = read("It is 2*600 = <<2*600=1200>>1,200.\n#### 1,200")
    assert replace(thousand, marked=True).right.text.startswith("It is 2*600 = <<2*600=1200>>1,200.")
    unclear = read("Half of 96 is <<96/2=48>>48.\n#### 48")
    assert of_solutions("{topic}", "How many?", [unclear.right], [10.0]) is None
    assert of_solutions("{topic}", "How many?", [replace(unclear, marked=True).right], [10.0]) is not None


@pytest.mark.parametrize(
    ("labels", "scores"),
    [((0.0, 1.0), (6, 8)), ((-2.0, 3.0, -2.0, 1.0), (4, 8, 4, 6)), ((5.0, 4.0, 3.0, 2.0), (8, 6, 4, 3))],
)
def test_a_preference_gives_scores_by_rank(labels: tuple[float, ...], scores: tuple[int, ...]) -> None:
    assert of_preference("{topic} (100%)", "Why?", labels).scores == scores


def test_a_target_follows_its_responses_and_can_be_read(tmp_path: Path) -> None:
    folder = write_sources(tmp_path)
    entries = [one for name in SOURCES for one in _read(name, folder)]
    seen = {entry.item.source for entry in entries if entry.target}
    assert seen == {source.name for source in SOURCES.values() if source.criteria}
    for entry in entries:
        if not entry.target:
            continue
        for place in range(entry.n):
            moved = entry.moved(place)
            critique = parse(Completion(str(moved.target)), range(entry.n))
            assert isinstance(critique, Critique)
            best = [at for at, score in enumerate(critique.scores) if score == max(critique.scores)]
            assert entry.n == 1 or best == [moved.item.best]
            assert entry.n > 1 or critique.scores == moved.item.labels


# --------------------------------------------------------------------------- sources


def _read(name: str, folder: Path, report: Report | None = None) -> list[Entry]:
    return list(read_source(folder, SOURCES[name], report or Report()))


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_is_read(tmp_path: Path, name: str) -> None:
    report = Report()
    entries = _read(name, write_sources(tmp_path), report)
    assert len(entries) == report.kept[SOURCES[name].label] > 50
    assert {entry.pool for entry in entries} == {SOURCES[name].pool}
    assert {entry.item.source for entry in entries} == {SOURCES[name].name}
    for entry in entries:
        assert (
            entry.pool == "human"
            or [at for at, one in enumerate(entry.defects or ()) if one is None] == [entry.item.best]
            or entry.n == 1
        )


@pytest.mark.parametrize("name", ["gsm8k", "gsm8k-marked"])
def test_worked_solutions_have_one_two_and_four_responses(tmp_path: Path, name: str) -> None:
    entries = _read(name, write_sources(tmp_path))
    assert {entry.n for entry in entries} == {1, 2, 4}
    for entry in entries:
        assert entry.programmatic
        assert entry.subset == CARRIED
        assert entry.item.labels == tuple(RIGHT if one is None else WRONG for one in entry.defects or ())
    singles = [entry.item.label for entry in entries if entry.n == 1]
    assert set(singles) == {RIGHT, WRONG}


def test_a_solution_of_another_question_is_left_out(tmp_path: Path) -> None:
    write_sources(tmp_path)
    name = SOURCES["prmbench"].file
    metas = [{"original_question": text} for text in (None, 4, "A box weighs 4 pounds.")]
    for meta, kept in zip(("none", *metas), (160, 160, 160, 0), strict=True):
        rows = [row | {"meta": meta} for row in read_records(tmp_path / name)]
        (tmp_path / name).write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
        report = Report()
        assert len(_read("prmbench", tmp_path, report)) == kept
        assert report.dropped["verifiable: PRMBench", "its solution is of another question"] == 160 - kept


def test_only_the_english_half_is_read(tmp_path: Path) -> None:
    report = Report()
    _read("llama-factory", write_sources(tmp_path), report)
    assert report.dropped["human: LLaMA-Factory", "of another subset"] == 120


SOUND = {"conversation": [{"role": "user", "content": "2+2?"}], "responses": ["4", "5"]}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"responses": ["4", " \n"]}, "a text is empty"),
        ({"responses": ["4", None]}, "unusable: conversation or responses"),
        ({"responses": []}, "unusable: conversation or responses"),
        ({"responses": "45"}, "unusable: conversation or responses"),
        ({"conversation": "2+2?"}, "unusable: conversation or responses"),
        ({"conversation": ["2+2?"]}, "unusable: conversation or responses"),
        ({"responses": ["四", "五"]}, "not English"),
        ({"responses": ["4", "5\x1b[2J and more words of plain English"]}, "broken or control characters"),
        ({"responses": ["4", "5 \ufffd and more words of plain English"]}, "broken or control characters"),
        ({"responses": ["4", "[The End of Response 1] 5"]}, "a judge's own marks"),
        ({"responses": ["4", "Scores: \\boxed{10, 1}"]}, "a judge's own marks"),
        ({"responses": ["4", "so $\\boxed{5}$"]}, None),
        ({"responses": ["4", "5 " * 1500]}, "longer than 1500 words"),
    ],
)
def test_an_odd_row_is_named(changes: dict[str, Any], reason: str | None) -> None:
    assert oddity(SOUND | changes) == reason


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["conversation", "responses", "labels", "best", "id", "license"]),
        st.recursive(
            st.none() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.just("content"), inner),
        ),
    )
)
def test_no_row_breaks_the_reading(row: dict[str, Any]) -> None:
    """Whatever a row holds, it is an entry or it is counted with a reason."""
    report = Report()
    for source in SOURCES.values():
        odd = oddity(row)
        found = [] if odd else list(source.make(source, {"id": "x", "subset": "y", **row}, report))
        assert odd or len(found) + report.dropped.total() > 0


def test_a_licence_in_unknown_words_is_refused(tmp_path: Path) -> None:
    folder = write_sources(tmp_path)
    items = [entry.item for entry in _read("hh-rlhf", folder)]
    check_licences(items)
    assert {LICENCES[words] for words in LICENCES} == {"MIT", "Apache-2.0"}
    row = {**SOUND, "id": "a", "labels": [1, 0], "license": "MIT (but not for training)"}
    entry = next(SOURCES["hh-rlhf"].make(SOURCES["hh-rlhf"], row, Report()))
    with pytest.raises(InvalidInput, match=r"'MIT \(but not for training\)' \(1 rows of hh-rlhf\)"):
        check_licences([entry.item])


def test_every_files_words_are_known(grm_data: Path) -> None:
    for source in SOURCES.values():
        stated = {row["license"] for row in read_records(grm_data / "train" / source.file)}
        assert stated <= set(LICENCES), source.file


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write_sources(tmp_path)
    check_files(tmp_path, iter(source.file for source in SOURCES.values()))
    (tmp_path / "prmbench_pairs.jsonl.gz").unlink()
    with pytest.raises(InvalidInput, match=r"lacks prmbench_pairs.jsonl.gz; name the folder"):
        check_files(tmp_path, iter(source.file for source in SOURCES.values()))


# --------------------------------------------------------------------------- the prompt that a part goes by


def _asked(text: str) -> str:
    return asked([{"role": "user", "content": text}])


@settings(deadline=None)
@given(st.text(), st.sampled_from([instruction.ask for instruction in INSTRUCTIONS]), st.text())
def test_what_was_added_to_a_prompt_does_not_count(prompt: str, ask: str, passages: str) -> None:
    plain = _asked(prompt)
    assert "Passages:\n" in prompt or _asked(f"{prompt}\n\nPassages:\n{passages}") == plain
    assert not plain or _asked(f"{plain} {ask}") == plain


def test_the_contrast_sets_prompts_are_asked_as_they_are(grm_data: Path) -> None:
    """A human row of a prompt that the contrast set has too is in the same part as its items."""
    seeds = {seed.id: seed.prompt for seed in read_seeds(grm_data / "train", wide=True)}
    met = 0
    for name in ("qa-feedback", "ultrafeedback", "gsm8k"):
        for row in read_records(grm_data / "train" / SOURCES[name].file):
            if row["id"] in seeds:
                met += 1
                assert part_of(asked(row["conversation"])) == part_of(seeds[row["id"]])
                assert split_of(asked(row["conversation"])) == split_of(seeds[row["id"]])
    assert met == len(seeds)


def _talk(*said: str) -> Entry:
    turns = [{"role": "assistant" if at % 2 else "user", "content": text} for at, text in enumerate(said)]
    return Entry(Preference(Request(turns, ["a", "b"]), 0, None, "made", "MIT", " ".join(said)), "human", "made")


def test_what_one_part_asks_another_does_not_hear_of() -> None:
    prompts = {part: next(f"Ask {at}" for at in range(99) if part_of(f"Ask {at}") == part) for part in PARTS}
    entries = [
        _talk(prompts["test"]),
        _talk(prompts["test"], "Well.", prompts["meta"]),
        _talk(f" {prompts['test'].upper()}", "Well.", prompts["train"]),
        _talk("Other", "Well.", prompts["train"]),
        _talk(prompts["train"]),
    ]
    report = Report()
    kept = apart(entries, report)
    assert {entry.item.id for entry in kept} == {entries[at].item.id for at in (0, 3, 4)}
    assert report.dropped == {("human: made", SHARED): 2}


# --------------------------------------------------------------------------- balance


def _pair(at: int, best: str, other: str, place: int) -> Entry:
    texts = [other, other]
    texts[place] = best
    request = Request([{"role": "user", "content": f"Prompt {at}"}], texts)
    labels = (1.0, 0.0) if place == 0 else (0.0, 1.0)
    return Entry(Preference(request, place, labels, "made", "MIT", f"made-{at}"), "human", "made")


TEXTS = st.sampled_from(["a", "ab", "a b", "ab c", "a b c", "a b c d"])


@settings(deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS, st.integers(0, 1)).filter(lambda pair: pair[0] != pair[1]), max_size=60))
def test_pairs_come_out_balanced_whatever_goes_in(pairs: list[tuple[str, str, int]]) -> None:
    entries = [_pair(at, *pair) for at, pair in enumerate(pairs)]
    report = Report()
    report.kept["human: made"] = len(entries)
    kept = balanced(entries, report)
    assert report.kept["human: made"] == len(kept)
    assert len(kept) + report.dropped.total() == len(entries)
    before = {entry.item.id: entry for entry in entries}
    for part in ("train", "meta", "test"):
        mine = [entry for entry in kept if entry.part == part]
        found = Counter(map(signs, mine))
        assert all(found[w, c] == found[-w, -c] for w, c in found)
        places = Counter(entry.item.best for entry in mine)
        assert abs(places[0] - places[1]) <= 1
    for entry in kept:
        was, now = before[entry.item.id].item, entry.item
        assert was.best is not None
        assert now.best is not None
        assert now.request.responses[now.best] == was.request.responses[was.best]
        assert now.labels
        assert now.labels[now.best] == 1.0


def test_four_responses_come_out_balanced() -> None:
    random = Random(0)
    entries = []
    for at in range(400):
        lengths = random.sample(range(1, 12), 4)
        best = max(range(4), key=lambda place: lengths[place] + random.randint(0, 9))
        texts = ["w " * length for length in lengths]
        request = Request([{"role": "user", "content": f"Prompt {at}"}], texts)
        labels = tuple(float(place == best) for place in range(4))
        names = tuple(None if place == best else "worse" for place in range(4))
        item = Preference(request, best, labels, "made", "MIT", f"made-{at}")
        entries.append(Entry(item, "verifiable", "made", names))
    train = [entry for entry in entries if entry.part == "train"]
    biased, even = baselines(train), baselines(balanced(train, Report()))
    assert biased["longest"]["share"] > 0.4
    assert even["items"] > 30
    for name in ("longest", "shortest", "most characters", "first"):
        assert abs(even[name]["share"] - 0.25) < 0.01
        low, high = even[name]["ci95"]
        assert low <= even[name]["share"] <= high
    for entry in balanced(train, Report()):
        assert entry.defects
        assert entry.defects[entry.item.best or 0] is None
        assert entry.defects.count("worse") == 3


def test_a_tie_is_a_part_of_each_rank() -> None:
    assert ranks(_pair(0, "a b", "c d", 0)) == range(2)
    assert ranks(_pair(0, "a b", "c", 1)) == range(1)
    assert ranks(_pair(0, "a b", "c d e", 1)) == range(1, 2)


def test_moving_the_best_keeps_what_belongs_together() -> None:
    entry = Entry(
        Preference(Request("q", ["a", "b", "c"]), 1, (0.0, 2.0, 1.0), "s", "MIT", "x"), "contrast", "cut_short",
        ("cut_short", None, "repeated"), ("plain", None, "subtle"), "plain",
    )  # fmt: skip
    moved = entry.moved(2)
    assert moved.item.request.responses == ("a", "c", "b")
    assert (moved.item.best, moved.item.labels) == (2, (0.0, 1.0, 2.0))
    assert (moved.defects, moved.strengths) == (("cut_short", "repeated", None), ("plain", "subtle", None))
    assert moved.moved(1) == entry
    row = moved.to_dict()
    assert detect(row) == "schema"
    assert row["defects"] == ["cut_short", "repeated", None]


def test_solutions_are_compared_by_value() -> None:
    assert Solution((), "", "1,200").answer == "1,200"
    assert value("1,200") == 1200
    assert words("a  b") == 2
