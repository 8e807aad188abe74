"""pipeline_grm.py: what callers may pass, what they get, and what is refused, over a tiny random judge."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest
from tiny_judge import save_tiny, tiny_judge
from transformers import pipeline
from transformers.pipelines.pt_utils import KeyDataset
from transformers.utils.chat_template_utils import Chat

import modeling_grm
from modeling_grm.pipeline_grm import RewardScoringPipeline, to_request
from modeling_grm.types_grm import InvalidInput, Request

ROOT = Path(__file__).resolve().parent.parent
SETTINGS: dict[str, Any] = {"template": "compact", "max_new_tokens": 24, "k": 4}
CHAT = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "What is 2+2?"},
]
ROW: dict[str, Any] = {"query": "What is 2+2?", "responses": ["4", "I like trains"]}
ROWS = [
    ROW,
    {"query": "Name a colour.", "responses": ["red", "blue", "seven", "x"]},
    {"query": "Go?", "responses": ["no"]},
]


@pytest.fixture(scope="module")
def pipe() -> RewardScoringPipeline:
    """The tiny judge, ready to score."""
    model, tokenizer = tiny_judge()
    return pipeline("reward-scoring", model=model, tokenizer=tokenizer, **SETTINGS)  # type: ignore[call-overload, no-any-return]


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny judge as a checkpoint with settings of its own."""
    return save_tiny(tmp_path_factory.mktemp("tiny") / "judge", SETTINGS | {"k": 3, "base": "tiny base"})


# --------------------------------------------------------------------------- what comes out


def test_a_result_is_plain_json(pipe: RewardScoringPipeline) -> None:
    result = pipe("What is 2+2?", ["4", "I like trains"])
    assert json.loads(json.dumps(result)) == result
    assert (len(result["scores"]), len(result["totals"]), result["k"]) == (2, 2, 4)
    assert sum(result["outcomes"].values()) == 4
    assert result["n_valid"] == result["outcomes"]["ok"]
    assert result["best"] in (0, 1, None)
    assert "samples" not in result


def test_samples_on_request(pipe: RewardScoringPipeline) -> None:
    result = pipe(ROW, return_samples=True)
    assert json.loads(json.dumps(result)) == result
    assert len(result["samples"]) == 4
    for sample in result["samples"]:
        assert sorted(sample["order"]) == [0, 1]
        assert sample["prompt_tokens"] > 100
        assert sample["completion_tokens"] > 0
        assert (sample["outcome"] == "ok") == (sample["scores"] is not None)
    assert result["totals"] == [sum(result["samples"][at]["scores"][i] for at in result["voters"]) for i in (0, 1)]


# --------------------------------------------------------------------------- what goes in


@pytest.mark.parametrize(
    "call",
    [
        lambda pipe: pipe("What is 2+2?", ["4", "I like trains"]),
        lambda pipe: pipe("What is 2+2?", ("4", "I like trains")),
        lambda pipe: pipe("What is 2+2?", responses=["4", "I like trains"]),
        lambda pipe: pipe(query="What is 2+2?", responses=["4", "I like trains"]),
        lambda pipe: pipe([CHAT[-1]], ["4", "I like trains"]),
        lambda pipe: pipe(Chat([CHAT[-1]]), ["4", "I like trains"]),
        lambda pipe: pipe(ROW),
        lambda pipe: pipe({"query": [CHAT[-1]], "responses": ROW["responses"]}),
        lambda pipe: pipe({"conversation": [CHAT[-1]], "responses": ROW["responses"], "query": None, "id": 7}),
        lambda pipe: pipe(Request("What is 2+2?", ["4", "I like trains"])),
        lambda pipe: pipe([ROW])[0],
        lambda pipe: next(pipe(iter([ROW]))),
        lambda pipe: next(pipe((ROW,))),
        lambda pipe: next(pipe(datasets.Dataset.from_list([ROW]))),
        lambda pipe: next(pipe(datasets.Dataset.from_list([ROW]).to_iterable_dataset())),
        lambda pipe: next(pipe(KeyDataset([{"item": ROW}], "item"))),
    ],
)
def test_one_item_in_every_shape(pipe: RewardScoringPipeline, call: Any) -> None:
    assert call(pipe) == pipe("What is 2+2?", ["4", "I like trains"])


def test_a_conversation_is_another_item(pipe: RewardScoringPipeline) -> None:
    whole = pipe(CHAT, ROW["responses"], return_samples=True)
    assert whole == pipe({"conversation": CHAT, "responses": ROW["responses"]}, return_samples=True)
    assert whole["samples"][0]["prompt_tokens"] > pipe(ROW, return_samples=True)["samples"][0]["prompt_tokens"]


def test_a_list_gives_a_list_and_a_generator_an_iterator(pipe: RewardScoringPipeline) -> None:
    results = pipe(ROWS)
    assert [len(result["scores"] or result["outcomes"]) > 0 for result in results] == [True] * 3
    assert pipe([]) == []
    lazy = pipe(row for row in ROWS)
    assert isinstance(lazy, Iterator)
    assert list(lazy) == results
    assert list(pipe(iter([]))) == []
    conversations = [{"conversation": CHAT, "responses": ["a", "b"]}] * 2
    assert list(pipe(datasets.Dataset.from_list(conversations))) == pipe(conversations)


def test_an_endless_generator_is_read_as_it_goes(pipe: RewardScoringPipeline) -> None:
    read = []

    def endless() -> Iterator[dict[str, Any]]:
        for at in itertools.count():
            read.append(at)
            yield {"query": f"question {at}", "responses": ["a", "b"]}

    results = pipe(endless(), batch_size=1)
    assert read == []
    next(results)
    assert len(read) <= 4
    next(results)
    assert len(read) <= 6


def test_an_item_does_not_depend_on_its_neighbours(pipe: RewardScoringPipeline) -> None:
    alone = [pipe(row, return_samples=True) for row in ROWS]
    assert pipe(ROWS, return_samples=True) == alone
    assert pipe(ROWS[::-1], return_samples=True) == alone[::-1]
    assert pipe(ROWS, return_samples=True, batch_size=1) == alone


def test_a_seed_repeats(pipe: RewardScoringPipeline) -> None:
    first = pipe(ROW, seed=5, k=8, return_samples=True)
    assert pipe(ROW, seed=5, k=8, return_samples=True) == first
    assert pipe(ROW, seed=6, k=8, return_samples=True)["samples"] != first["samples"]
    assert pipe(ROW, seed=5, k=4, return_samples=True)["samples"] == first["samples"][:4]
    assert pipe(ROW, k=4) == pipe(ROW, k=4, seed=0)


def test_swapping_the_responses_swaps_the_scores(pipe: RewardScoringPipeline) -> None:
    plain = pipe("What is 2+2?", ["4", "trains"], k=8, quorum=0.1)
    swapped = pipe("What is 2+2?", ["trains", "4"], k=8, quorum=0.1)
    assert plain["scores"] is not None
    assert swapped["scores"] == plain["scores"][::-1]
    assert swapped["best"] == (None if plain["best"] is None else 1 - plain["best"])


def test_a_meta_rm_chooses_the_voters(pipe: RewardScoringPipeline) -> None:
    def rate(rated: Any) -> list[float]:
        return [float(sum(critique.scores or ())) for _, critique in rated]

    result = pipe(ROW, k=8, k_meta=1, rate=rate, return_samples=True)
    (voter,) = result["voters"]
    ok = [sample for sample in result["samples"] if sample["outcome"] == "ok"]
    assert sum(result["samples"][voter]["scores"]) == max(sum(sample["scores"]) for sample in ok)
    assert result["samples"][voter]["meta_score"] == sum(result["scores"])


# --------------------------------------------------------------------------- settings


def test_a_call_overrides_the_pipeline_and_the_pipeline_the_checkpoint(tiny_folder: Path) -> None:
    pipe = pipeline("reward-scoring", model=str(tiny_folder), temperature=0)
    first = pipe(ROW, return_samples=True)
    assert first["k"] == 3
    assert first["base"] == "tiny base"
    assert first["model"] == str(tiny_folder)
    by_order = {tuple(sample["order"]): sample["text"] for sample in first["samples"]}
    assert all(by_order[tuple(sample["order"])] == sample["text"] for sample in first["samples"])  # greedy
    assert pipe(ROW, k=2)["k"] == 2
    assert pipe(ROW, k=None, seed=None, principles=None, return_samples=True) == first
    assert pipe(ROW, temperature=2.0, return_samples=True)["samples"] != first["samples"]


def test_principles_and_reference_are_of_the_call_or_of_the_row(pipe: RewardScoringPipeline) -> None:
    plain = pipe(ROW, return_samples=True)["samples"][0]["prompt_tokens"]
    for name in ("principles", "reference"):
        assert pipe(ROW, return_samples=True, **{name: "Be exact."})["samples"][0]["prompt_tokens"] > plain
        assert getattr(to_request(ROW, **{name: "call"}), name) == "call"
        assert getattr(to_request(ROW | {name: "row"}, **{name: "call"}), name) == "row"
        assert getattr(to_request(Request("q", ["a"]), **{name: "call"}), name) == "call"
        assert getattr(to_request(Request("q", ["a"], **{name: "own"}), **{name: "call"}), name) == "own"
    assert to_request(ROW | {"principles": None}).principles is None


def test_the_users_own_template(pipe: RewardScoringPipeline) -> None:
    own = "{conversation}\n{responses}\nScores: {example}"
    assert pipe(ROW, template=own)["k"] == 4
    with pytest.raises(InvalidInput, match=r"has no \{extras\}"):
        pipe(ROW, template=own, reference="4")


def test_a_prompt_that_does_not_fit_is_refused_or_cut(pipe: RewardScoringPipeline) -> None:
    row = {"query": "Which?", "responses": ["a " * 3000, "b"]}
    with pytest.raises(InvalidInput, match=r"has 6\d\d\d tokens .*\(4096 tokens, 24 of them max_new_tokens\)"):
        pipe(row)
    result = pipe(row, truncation="middle", return_samples=True)
    assert 1900 < result["truncated_tokens"] < 3000
    assert all(sample["prompt_tokens"] <= 4096 - 24 for sample in result["samples"])
    assert pipe(ROW, truncation="middle")["truncated_tokens"] == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"k": 0}, "k: 0 is not usable"),
        ({"k": 1.5}, "k: 1.5 is not usable"),
        ({"k": 4, "k_meta": 5, "rate": len}, "k_meta: 5 is not usable"),
        ({"k_meta": 2}, "k_meta: 2 has no meta RM to ask"),
        ({"temperature": -1}, "temperature: -1 is not usable"),
        ({"top_p": 0}, "top_p: 0 is not usable"),
        ({"max_new_tokens": 0}, "max_new_tokens: 0 is not usable"),
        ({"quorum": 2}, "quorum: 2 is not usable"),
        ({"truncation": "left"}, "truncation: 'left' is not usable"),
        ({"seed": 1.5}, "seed: 1.5 is not usable"),
        ({"seed": True}, "seed: True is not usable"),
        ({"seed": "1"}, "seed: '1' is not usable"),
        ({"batch_size": 0}, "batch_size: 0 is not usable"),
        ({"template": "deepsek"}, "template: 'deepsek' is unknown"),
        ({"template": "llm-as-a-judge"}, "asks for no scores"),
        ({"template": "deepseek-grm-single"}, "takes one response, 2 given"),
        ({"principles": 3}, "principles: expected non-empty text"),
        ({"reference": " "}, "reference: expected non-empty text"),
        ({"num_samples": 8}, "num_samples: an unknown setting; known are ['batch_size', 'constrain', 'delta'"),
        ({"max_new_tokens": 5000}, "5000 of them max_new_tokens"),
    ],
)
def test_an_unusable_setting_is_refused_by_name(pipe: RewardScoringPipeline, settings: Any, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        pipe(ROW, **settings)
    assert said in str(caught.value)
    with pytest.raises(InvalidInput):
        pipe(iter([ROW]), **settings).__next__()


@pytest.mark.parametrize("settings", [{"k": 0}, {"seed": "1"}, {"template": "deepsek"}, {"samples": 8}])
def test_a_pipeline_with_unusable_settings_is_not_made(pipe: RewardScoringPipeline, settings: Any) -> None:
    with pytest.raises(InvalidInput):
        pipeline("reward-scoring", model=pipe.model, tokenizer=pipe.tokenizer, **settings)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("What is 2+2?",), "responses: none given"),
        ((None,), "responses: none given"),
        ((3,), "responses: none given"),
        (("q", []), "responses: the list is empty"),
        (("q", "a"), "responses: expected a list"),
        (("q", ["a", None]), "responses[1]: expected text"),
        (("q", ["a"] * 17), "at most 16"),
        (("", ["a"]), "query: the text is empty"),
        (([], ["a"]), "query: expected text or a non-empty list"),
        ((CHAT[:2], ["a"]), "the last turn must be the user's"),
        (("q\ud83d", ["a"]), "half a character"),
        (("q", ["\udc00"]), "responses[0]: holds half a character"),
        ((ROW, ["a"]), "query: expected text"),
        (({"query": "q"},), "row: needs `query` or `conversation`, and `responses`"),
        (({"responses": ["a"]},), "row: needs `query` or `conversation`, and `responses`"),
        (({"query": "q", "conversation": CHAT, "responses": ["a"]},), "row: needs `query` or `conversation`"),
        ((CHAT,), "row 0: row: needs `query` or `conversation`, and `responses`; it has ['content', 'role']"),
        (([ROW, {"query": "q", "responses": []}],), "row 1: responses: the list is empty"),
        (([ROW, "q"],), "row 1: row: expected"),
    ],
)
def test_bad_input_is_refused_by_name(pipe: RewardScoringPipeline, call: Any, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        pipe(*call)
    assert said in str(caught.value)


def test_a_bad_row_of_a_generator_is_named_when_it_is_reached(pipe: RewardScoringPipeline) -> None:
    with pytest.raises(InvalidInput, match=r"^row 1: responses: the list is empty"):
        list(pipe(iter([ROW, {"query": "q", "responses": []}])))


def test_check_refuses_what_a_call_would_refuse(pipe: RewardScoringPipeline) -> None:
    pipe.check(ROW)
    long = {"query": "q", "responses": ["a " * 3000]}
    for row, settings in ((long, {}), (ROW, {"k": 0}), (ROW, {"template": "x"}), ({"query": "q"}, {})):
        with pytest.raises(InvalidInput):
            pipe.check(row, **settings)  # type: ignore[arg-type]
    pipe.check(long, truncation="middle")


# --------------------------------------------------------------------------- checkpoints


def test_a_tokenizer_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "bare", chat_template=False)
    with pytest.raises(InvalidInput, match="model: its tokenizer has no chat template; use an instruction-tuned model"):
        pipeline("reward-scoring", model=str(folder))


@pytest.mark.parametrize(
    ("grm", "said"),
    [({"temprature": 1}, r"unknown \['temprature'\]"), ({"k": 0}, "k: 0"), ({"template": "x"}, "'x' is unknown")],
)
def test_unreadable_settings_of_a_checkpoint_are_refused(tmp_path: Path, grm: dict[str, Any], said: str) -> None:
    folder = save_tiny(tmp_path / "judge", grm)
    with pytest.raises(InvalidInput, match=said):
        pipeline("reward-scoring", model=str(folder))


def test_a_checkpoint_without_settings_has_the_papers(pipe: RewardScoringPipeline) -> None:
    assert pipe.grm == modeling_grm.GRMConfig()
    assert pipe.grm.template == "deepseek-grm"


def test_a_saved_pipeline_is_a_plain_checkpoint(tiny_folder: Path, tmp_path: Path) -> None:
    before = pipeline("reward-scoring", model=str(tiny_folder))
    before.save_pretrained(tmp_path / "saved")
    assert not list((tmp_path / "saved").glob("*.py"))
    assert "custom_pipelines" not in json.loads((tmp_path / "saved" / "config.json").read_text(encoding="utf-8"))
    after = pipeline("reward-scoring", model=str(tmp_path / "saved"))
    assert after.grm == before.grm
    assert after(ROW)["totals"] == before(ROW)["totals"]


ORDERS = (
    "import modeling_grm; from transformers import pipeline",
    "from transformers import pipeline; import modeling_grm",
)


@pytest.mark.parametrize("imports", ORDERS)
def test_the_task_is_known_in_either_import_order(tiny_folder: Path, tmp_path: Path, imports: str) -> None:
    """A fresh process each; nothing is read or written for the embedded default."""
    code = f"""
import json, sys
{imports}
pipe = pipeline("reward-scoring", model=sys.argv[1])
assert type(pipe) is modeling_grm.RewardScoringPipeline
assert "modeling_grm.embedded" not in sys.modules
print(json.dumps(pipe({ROW!r})))
"""
    env = os.environ | {"PYTHONPATH": str(ROOT), "GRM_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_folder)], env=env, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == pipeline("reward-scoring", model=str(tiny_folder))(ROW)
    assert list(tmp_path.iterdir()) == []


def test_the_public_names_are_there() -> None:
    assert modeling_grm.__all__ == sorted(
        modeling_grm.__all__, key=lambda name: (not name.isupper(), name[0].islower(), name)
    )
    assert all(hasattr(modeling_grm, name) for name in modeling_grm.__all__)
