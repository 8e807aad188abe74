"""The Space without Gradio: what may be asked, links, pictures, pages, and what its folder holds."""

from __future__ import annotations

import base64
import json
import re
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from space_files import SPACE
from transformers import pipeline

from modeling_grm import Completion, Fake, InvalidInput, Prompt
from modeling_grm.runs import COLUMNS
from modeling_grm.toys import save_tiny, tiny_classifier
from modeling_grm.trajectories import read

from asked import MOST_RESPONSES, Asked, text_of, turns_of  # isort: skip
from charts import apart, bounds, growth, half_width, histogram, running, t_95  # isort: skip
from judge import Judge  # isort: skip
from links import boxes, pack, unpack  # isort: skip
from view import Watched, empty, excerpt, page, python_code, refusal, scaling_page  # isort: skip

TURNS = [{"role": "user", "content": "What is 2+2?"}]
PAIR = ["4", "I like trains"]
SAID = [
    "Specific Criteria: be right (100%).\nAnalysis: Response 1 is fine.\nScores: \\boxed{9, 2}",
    "I would rather not.",
    "Specific Criteria: be short.\nAnalysis: Response 2 is longer.\nScores: \\boxed{3, 8}",
    Completion("Specific Criteria: and then", truncated=True),
]
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}${7*7}\"' onclick='x"


def judge(said: Any = SAID, **more: Any) -> Judge:
    task: Any = "reward-scoring"
    return Judge(pipeline(task, model=Fake(said)), **more)


def watched(asked: Asked, said: Any = SAID, **more: Any) -> Watched:
    seen = Watched(asked)
    for step in judge(said, **more).steps(asked):
        seen.add(step)
        assert seen.html()
    return seen


class _Tags(HTMLParser):
    """Every tag, its attributes, and whether the tags nest."""

    VOID = ("line", "polygon", "polyline", "circle")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.attributes.update(name for name, _ in attrs)
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


# ---- what may be asked


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("hello", ["user"]),
        ("User: a\nAssistant: b\nb2\nUser: c", ["user", "assistant", "user"]),
        ("System: be short\nUser: hi", ["system", "user"]),
        ("I said\nUser: hello", ["user"]),
        ("   ", []),
    ],
)
def test_a_text_becomes_turns_and_back(text: str, roles: list[str]) -> None:
    turns = turns_of(text)
    assert [turn["role"] for turn in turns] == roles
    if turns:
        assert turns_of(text_of(turns)) == turns


def test_messages_are_taken_as_they_are() -> None:
    assert Asked.of(TURNS, PAIR).turns == TURNS
    assert turns_of(text_of([{"role": "user", "content": "User: x"}])) == [{"role": "user", "content": "User: x"}]


def test_boxes_that_nobody_filled_do_not_count() -> None:
    assert Asked.of("hi", ["a", "b", "", ""]).responses == ["a", "b"]


@pytest.mark.parametrize(
    ("conversation", "responses", "settings", "message"),
    [
        ("", PAIR, {}, "^conversation: it is empty"),
        ("User: a\nAssistant: b", PAIR, {}, "^query: the last turn must be the user's"),
        ("x" * 6_001, PAIR, {}, "^conversation: 6,001 characters, at most 6,000"),
        ([{"role": "user", "content": "x"}] * 21, PAIR, {}, "^conversation: more than 20 turns"),
        ({"role": "x"}, PAIR, {}, "^query"),
        (7, PAIR, {}, "^query"),
        ("x", ["a"], {}, "^responses: 1 given; write at least 2"),
        ("x", ["a"] * 9, {}, "^responses: 9 given, at most 8"),
        ("x", "ab", {}, "^responses: give a list"),
        ("x", ["a", 7], {}, r"^responses\[1\]"),
        ("x", ["a", " ", "b"], {}, "^response 2: it is empty"),
        ("x", ["a", "b" * 4_001], {}, "^response 2: 4,001 characters"),
        ("x", ["b" * 3_000] * 6, {}, "^everything together: 18,001 characters"),
        ("x", ["a", "\ud83d"], {}, "half a character"),
        ("x", PAIR, {"k": 33}, "^k: 33"),
        ("x", PAIR, {"k": 0}, "^k: 0"),
        ("x", PAIR, {"k": 2.5}, "^k: 2.5"),
        ("x", PAIR, {"k": True}, "^k: True"),
        ("x", PAIR, {"temperature": 9}, "^temperature: 9"),
        ("x", PAIR, {"temperature": float("nan")}, "^temperature: nan"),
        ("x", PAIR, {"meta": True, "adaptive": True}, "^meta: "),
    ],
)
def test_what_is_beyond_the_limits_is_refused_in_words(
    conversation: Any, responses: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        Asked.of(conversation, responses, **settings)


# ---- links


def test_a_link_holds_the_question() -> None:
    asked = Asked.of("User: a\nAssistant: ü\nUser: 你好", ["x\ny", EVIL], k=4, temperature=0.3, adaptive=True)
    value = pack(asked)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", value)
    assert unpack(value) == asked
    assert boxes(asked) == ("User: a\nAssistant: ü\nUser: 你好", ["x\ny", EVIL])


def _packed(said: Any) -> str:
    return base64.urlsafe_b64encode(zlib.compress(json.dumps(said).encode())).decode().rstrip("=")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "%%%",
        "abc",
        pack(Asked.of("hi", PAIR))[:-9],
        _packed({}),
        _packed([1]),
        _packed([7, PAIR, 1, 0, False, False]),
        _packed([TURNS, 7, 1, 0, False, False]),
        _packed([TURNS, PAIR, 1, 0, "yes", False]),
        _packed([TURNS, PAIR, "auto", 0, False, False]),
        _packed([["x"], PAIR, 1, 0, False, False]),
        _packed([TURNS, ["a" * 4_001, "b"], 1, 0, False, False]),
        _packed("a" * 10_000_000)[:6_000],
        _packed([[[[[]]]]] * 6),
    ],
)
def test_a_link_that_holds_none_is_refused(value: str) -> None:
    with pytest.raises(InvalidInput):
        unpack(value)


def test_a_question_too_long_for_a_link_says_so() -> None:
    noise = Random(0)
    with pytest.raises(InvalidInput, match=r"^link: "):
        pack(Asked.of("hi", ["".join(chr(noise.randint(33, 999)) for _ in range(3_900)) for _ in range(2)]))


# ---- pictures


def test_a_mean_runs_and_has_an_interval_from_the_third_sample_on() -> None:
    points = running([(9, 2), None, (7, 4), (8, 3), (10, 9)], 0)
    assert [(point.x, point.mean) for point in points] == [(1, 9.0), (3, 8.0), (4, 8.0), (5, 8.5)]
    assert [point.low is None for point in points] == [True, True, False, False]
    assert points[2].high == 10  # 8 +- 2.5, kept on the scale


def test_intervals() -> None:
    assert half_width([5, 7]) is None
    assert half_width([5, 5, 5]) == 0
    assert half_width([4, 6, 5, 5]) == pytest.approx(3.182 * (2 / 3 / 4) ** 0.5)
    assert bounds(9.5, 2) == (7.5, 10)
    assert t_95(30) == pytest.approx(2.042, rel=0.01)
    assert t_95(11) == pytest.approx(2.201, rel=0.01)


def test_a_histogram_tells_voters_from_others() -> None:
    bars = histogram([(9,), (9,)], [(1,), None], 0)
    assert [(bar["score"], bar["votes"], bar["out"]) for bar in bars if bar["votes"] or bar["out"]] == [
        (1, 0, 1),
        (9, 2, 0),
    ]
    assert bars[8]["votes_percent"] == 100


def test_labels_do_not_overlap() -> None:
    places = sorted(apart([10, 11, 12, 100]))
    assert all(right - left >= 15 for left, right in pairwise(places))
    assert apart([]) == []


def test_a_picture_before_anything_is_readable() -> None:
    assert growth([None, None], 2, 8)["lines"][0]["end"] is None


# ---- pages


def test_the_page_shows_every_judgement_with_its_fate() -> None:
    asked = Asked.of("hi", PAIR, k=4)
    html = watched(asked).html()
    assert html.count('<li class="sample ') == 4
    assert html.count("no scores found") == 1
    assert html.count("cut off: the token budget ran out") == 1
    assert html.count('class="mark">votes') == 2
    assert "2 of 4 judgements readable" in html
    _Tags(html)


def test_numbers_in_a_judgement_are_the_visitors_own() -> None:
    seen = watched(Asked.of("hi", PAIR, k=4))
    by_number = {sample["sample"]: sample for sample in seen.samples}
    first = next(sample for sample in seen._samples() if sample["number"] == 1)
    shown_first = by_number[0]["order"][0] + 1
    assert ("analysis", f"Response {shown_first} is fine.", "") in first["parts"]


def test_what_the_meta_rm_throws_out_stays_and_is_marked() -> None:
    def rate(judged: Any) -> list[float]:
        return [3.5 if critique.scores and max(critique.scores) == 9 else -3.5 for _, critique in judged]

    html = watched(Asked.of("hi", PAIR, k=4, meta=True), [SAID[0], SAID[2]], meta=rate).html()
    assert html.count('class="mark">discarded by the meta RM') == 2
    assert "2 discarded by the meta RM" in html
    assert html.count("meta RM +3.50") == html.count("meta RM -3.50") == 2


def test_without_a_meta_rm_the_switch_changes_nothing() -> None:
    asked = Asked.of("hi", PAIR, k=4, meta=True)
    assert judge().settings(asked)["rule"] == "sum"


def test_an_adaptive_stop_says_why() -> None:
    def likes_the_first(prompt: Prompt) -> str:
        return f"Scores: \\boxed{{{', '.join('92'[at] for at in prompt.order)}}}"

    html = watched(Asked.of("hi", PAIR, k=32, adaptive=True), likes_the_first).html()
    assert "stopped early" in html


def test_the_time_for_a_question_ends() -> None:
    seen = watched(Asked.of("hi", PAIR, k=32), seconds=0.0)
    assert seen.result["done"]
    assert seen.result["stopped"] == "time"
    assert len(seen.finished) == 1
    assert "the time for one question is up" in seen.html()


def test_no_verdict_without_readable_judgements() -> None:
    html = watched(Asked.of("hi", PAIR, k=2), ["nothing", RuntimeError("boom <b>")]).html()
    assert "No verdict" in html
    assert "boom &lt;b&gt;" in html


def test_a_tie_is_a_tie() -> None:
    assert "A tie" in watched(Asked.of("hi", PAIR, k=2), ["Scores: \\boxed{5, 5}"]).html()


@pytest.mark.parametrize("where", ["question", "response", "model", "error", "refusal"])
def test_text_never_becomes_html(where: str) -> None:
    texts = {"question": "hi", "response": "4", "model": "", "error": "", "refusal": ""} | {where: EVIL}
    said: Any = f"Specific Criteria: {texts['model']}\nAnalysis: {texts['model']}\nScores: \\boxed{{9, 2}}"
    said = RuntimeError(EVIL) if where == "error" else said
    html = watched(Asked.of(texts["question"], [texts["response"], "b"], k=2), [said, EVIL]).html()
    html = refusal(f"k: {EVIL}") if where == "refusal" else html
    tags = _Tags(html)
    assert "script" not in tags.tags
    assert "img" not in tags.tags
    assert not {name for name in tags.attributes if name.startswith("on")}
    assert "<script>" not in html


def test_a_long_judgement_folds() -> None:
    said = f"Specific Criteria: {'be right and brief ' * 100}\nAnalysis: ok.\nScores: \\boxed{{9, 2}}"
    html = watched(Asked.of("hi", PAIR, k=1), [said]).html()
    assert "<details>" in html
    assert html.count("right") == 100


def test_the_smaller_pages_nest_and_escape() -> None:
    for html in (empty("<b>"), refusal("k: <b>"), page("header.html.jinja")):
        assert "<b>" not in html
        _Tags(html)
    assert excerpt("a\n b" * 100).endswith("…")


def test_the_python_code_gives_the_same_result() -> None:
    asked = Asked.of('What "is"\n2+2?\\', ["4'", "I like trains"], k=4, temperature=0.5)
    code = python_code(asked, None, None)
    given: list[Any] = []

    def stand_in(task: str) -> Any:
        return lambda *args, **settings: given.append((args, settings)) or {"scores": [], "best": None}

    lines = [line for line in code.splitlines() if not line.startswith(("import", "from"))]
    exec("\n".join(lines), {"pipeline": stand_in, "print": lambda *_: None})
    assert given == [
        ((asked.turns[0]["content"], asked.responses), {"k": 4, "temperature": 0.5, "return_samples": True})
    ]


def test_the_python_code_names_what_is_not_the_default() -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    code = python_code(Asked(turns, PAIR, k=16, meta=True), "org/grm", "org/meta")
    assert "model='org/grm'" in code
    assert "meta_model='org/meta'" in code
    assert "'role': 'assistant'" in code
    assert "k='auto'" in python_code(Asked(turns, PAIR, adaptive=True), None, None)
    assert "rule='sum'" in python_code(Asked(turns, PAIR), "org/grm", "org/meta")


def test_json_is_the_pipelines_result() -> None:
    seen = watched(Asked.of("hi", PAIR, k=4))
    found = json.loads(seen.json())
    assert found["scores"] == seen.result["scores"]
    assert [sample["sample"] for sample in found["samples"]] == [0, 1, 2, 3]


# ---- the judge


def test_the_environment_names_judge_and_meta_rm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tokenizer = tiny_classifier()
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "meta")
    monkeypatch.setenv("GRM_MODEL", str(save_tiny(tmp_path / "judge", {"template": "compact", "max_new_tokens": 64})))
    monkeypatch.setenv("GRM_META_MODEL", str(tmp_path / "meta"))
    found = Judge.from_environment()
    asked = Asked.of("2+2?", ["4", "five"], k=4, meta=True)
    *_, last = found.steps(asked)
    assert last["meta"]["k_meta"] == 2
    assert any(sample["meta_score"] is not None for sample in last["samples"])
    *_, plain = found.steps(replace(asked, meta=False))
    assert "meta" not in plain


# ---- the folder


def test_gpu_time_grows_with_the_question_and_has_an_end() -> None:
    small, large = judge(), judge(seconds=60)
    assert (
        15 <= small.gpu_seconds(Asked.of("hi", PAIR, k=1)) <= small.gpu_seconds(Asked.of("hi", ["x" * 3_000] * 4, k=8))
    )
    assert large.gpu_seconds(Asked.of("hi", PAIR, k=32, adaptive=True)) == 60


def test_every_example_may_be_asked_and_linked() -> None:
    examples = json.loads((SPACE / "examples.json").read_text(encoding="utf-8"))
    assert len(examples) >= 4
    for one in examples:
        asked = Asked.of(one["conversation"], one["responses"])
        assert len(asked.responses) <= MOST_RESPONSES
        assert unpack(pack(asked)) == asked


def test_the_curves_are_drawn_and_hold_no_text() -> None:
    curves = json.loads((SPACE / "curves.json").read_text(encoding="utf-8"))
    html = scaling_page(curves)
    _Tags(html)
    assert "Control: a random half" in html
    assert "meta_topk" in {point["curve"] for point in curves["points"]}
    assert {type(value) for point in curves["points"] for name, value in point.items() if name != "curve"} <= {
        int,
        float,
    }


def test_the_shipped_curves_are_what_the_script_makes() -> None:
    from make_curves import STORE, curves

    shipped = json.loads((SPACE / "curves.json").read_text(encoding="utf-8"))
    made = curves(read(STORE, list(COLUMNS)), "x")
    assert made["points"] == shipped["points"]
    assert made["about"]["items"] == shipped["about"]["items"]


def test_the_card_says_what_the_hub_asks() -> None:
    said = yaml.safe_load((SPACE / "README.md").read_text(encoding="utf-8").split("---\n", 2)[1])
    assert said["sdk"] == "gradio"
    assert said["app_file"] == "app.py"
    assert said["suggested_hardware"] == "zero-a10g"
    assert len(said["short_description"]) <= 60
    assert said["license"] == "apache-2.0"
    assert said["models"]
    assert said["datasets"]


def test_the_requirements_are_the_packages_extra() -> None:
    assert (SPACE / "requirements.txt").read_text(encoding="utf-8").split() == ["modeling-grm[space]"]
