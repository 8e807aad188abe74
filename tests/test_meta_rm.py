"""The meta RM: what it reads, that padding does not matter, what it refuses, and how it guides the vote."""

from __future__ import annotations

import json
import logging
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from tiny import SIZES, tiny_adapter, tiny_model, tiny_tokenizer
from tiny_judge import save_tiny
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma2ForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    pipeline,
)

from modeling_grm.backends.fake import Fake
from modeling_grm.configuration_grm import GRMConfig
from modeling_grm.judged_grm import fingerprint, judged_messages
from modeling_grm.meta_rm_grm import SHARED, MetaRM, Unrated, meta_rm_of
from modeling_grm.portable import make_portable
from modeling_grm.types_grm import Critique, InvalidInput, Outcome, Prompt, Request

ASKED = Request("w1 w2", ["w3 w4", "w5"])
LABELLED: dict[str, Any] = {"num_labels": 1}


def critique(text: str = "w6 w7", order: tuple[int, ...] = (0, 1), outcome: Outcome = Outcome.OK) -> Critique:
    return Critique(text, outcome, order, 1, scores=(5,) * len(order) if outcome is Outcome.OK else None)


def classifier(kind: str = "llama", seed: int = 0, **changed: Any) -> Any:
    """Random weights, spread enough that the logits of two texts differ clearly."""
    torch.manual_seed(seed)
    sizes = SIZES | LABELLED | changed
    if kind == "gemma2":
        config = Gemma2Config(**sizes, sliding_window=6, attn_logit_softcapping=2.0, attn_implementation="eager")
        model: Any = Gemma2ForSequenceClassification(config)
    else:
        model = LlamaForSequenceClassification(LlamaConfig(**sizes))
    for weights in model.parameters():
        weights.data.mul_(3.0 if weights.dim() > 1 else 1.0)
    return model.eval()


ONE = classifier()


def saved(folder: Path, model: Any = None, **about: Any) -> Path:
    model = model or classifier()
    if about:
        model.config.grm_meta = about
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def test_it_reads_the_responses_as_the_sample_saw_them() -> None:
    """Golden: order (1, 0) shows the caller's second response first; the judgement follows, word for word."""
    turns = judged_messages(Request("Why?", ["first", "second"]), critique("Response 1 is good.", (1, 0)))
    assert turns == (
        {
            "role": "user",
            "content": (
                "Please score the responses.\n"
                "\n#### Conversation Context ####\nWhy?\n"
                "\n#### Responses to be Scored ####\n"
                "[The Begin of Response 1]\nsecond\n[The End of Response 1]\n"
                "[The Begin of Response 2]\nfirst\n[The End of Response 2]\n"
            ),
        },
        {"role": "assistant", "content": "Response 1 is good."},
    )


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_batch_of_different_lengths_rates_as_one_by_one(kind: str, side: str) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.padding_side = side
    model = classifier(kind)
    pairs = [(ASKED, critique(" ".join(["w6", "w7"] * size), (size % 2, 1 - size % 2))) for size in (1, 9, 3, 14)]
    together = MetaRM(model, tokenizer, batch_size=4)(pairs)
    alone = [MetaRM(model, tokenizer)([pair])[0] for pair in pairs]
    assert together == pytest.approx(alone, abs=1e-5)
    assert len({round(logit or 0, 3) for logit in alone}) == 4


@pytest.mark.parametrize("kind", ["llama", "gemma2"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_judgements_of_one_prompt_read_it_once_and_rate_as_one_by_one(kind: str, side: str) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.padding_side = side
    meta = MetaRM(classifier(kind), tokenizer, batch_size=8)
    prompt = [9, 10, 11, 12, 13, 14, 15, 16, 17, 18]
    rows = [prompt + tail for tail in ([9], [12, 3], [9, 9, 15, 3], [16, 17, 18, 9, 10, 11, 3])]
    read = []
    meta.backbone.embed_tokens.register_forward_hook(lambda _, inputs, __: read.append(inputs[0].numel()))
    together = meta.logits(rows)
    assert read == [len(prompt), 4 * 7]
    assert together == pytest.approx([meta.logits([row])[0] for row in rows], abs=1e-5)
    assert len({round(logit, 3) for logit in together}) == 4


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(1, 3), min_size=1, max_size=6), min_size=1, max_size=9), st.integers(1, 4))
def test_every_judgement_is_in_one_batch(rows: list[list[int]], size: int) -> None:
    meta = MetaRM(ONE, tiny_tokenizer(), batch_size=size)
    batches = meta.batches(dict(enumerate(rows)))
    assert sorted(at for batch in batches for at in batch) == list(range(len(rows)))
    assert all(len(batch) <= size for batch in batches)
    together = [logit for batch in batches for logit in meta.logits([rows[at] for at in batch])]
    alone = [meta.logits([rows[at]])[0] for batch in batches for at in batch]
    assert together == pytest.approx(alone, abs=1e-5)


def test_it_is_the_classifiers_own_logit() -> None:
    model, tokenizer = classifier(), tiny_tokenizer()
    meta = MetaRM(model, tokenizer)
    ids = [[9, 10, 11, 12, 3], [13, 14, 3]]
    for row, logit in zip(ids, meta.logits(ids), strict=True):
        with torch.inference_mode():
            assert logit == pytest.approx(model(input_ids=torch.tensor([row])).logits.item(), abs=1e-5)


def test_a_calibrated_checkpoint_divides_by_its_temperature(tmp_path: Path) -> None:
    (raw,) = MetaRM.from_pretrained(saved(tmp_path / "raw"))([(ASKED, critique())])
    (calm,) = MetaRM.from_pretrained(saved(tmp_path / "calm", temperature=4.0))([(ASKED, critique())])
    assert raw is not None
    assert calm == pytest.approx(raw / 4)


def test_gemma_2_is_loaded_with_eager_attention(tmp_path: Path) -> None:
    meta = MetaRM.from_pretrained(saved(tmp_path, classifier("gemma2")))
    assert meta.backbone.config._attn_implementation == "eager"
    assert all(math.isfinite(logit or math.nan) for logit in meta([(ASKED, critique()), (ASKED, critique("w8 " * 20))]))


def test_failures_are_named_and_never_a_number(caplog: pytest.LogCaptureFixture) -> None:
    model = classifier()
    meta = MetaRM(model, tiny_tokenizer(), context=60)
    pairs = [(ASKED, critique()), (ASKED, critique("w1 " * 60)), (ASKED, critique("w1", outcome=Outcome.TRUNCATED))]
    with caplog.at_level(logging.WARNING):
        rated = meta(pairs)
    assert rated[0] is not None
    assert rated[1:] == [None, None]
    assert meta.failures == {Unrated.TOO_LONG: 1, Unrated.NOT_OK: 1}
    assert "too_long" in caplog.text
    assert "> context 60" in caplog.text
    model.score.weight.data.fill_(math.nan)
    assert meta([(ASKED, critique())]) == [None]
    assert meta.failures[Unrated.NOT_FINITE] == 1


def test_one_failing_judgement_does_not_take_its_batch_along(monkeypatch: pytest.MonkeyPatch) -> None:
    meta = MetaRM(classifier(), tiny_tokenizer(), batch_size=4)
    own = meta.logits

    def broken(rows: Any) -> list[float]:
        if any(len(row) > 60 for row in rows):
            raise RuntimeError("out of memory")
        return own(rows)

    monkeypatch.setattr(meta, "logits", broken)
    rated = meta([(ASKED, critique("w1 " * size)) for size in (1, 2, 40, 3)])
    assert [rating is None for rating in rated] == [False, False, True, False]
    assert meta.failures == {Unrated.ENGINE_ERROR: 1}


def test_a_request_that_cannot_fit_is_refused_with_counts() -> None:
    meta = MetaRM(classifier(), tiny_tokenizer(), context=60)
    meta.check(ASKED, 2)
    with pytest.raises(InvalidInput, match=r"prompt \d+ tokens \+ 30 of judgement > context 60"):
        meta.check(ASKED, 30)


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path, tokenizer=fingerprint(tiny_tokenizer()))
    assert MetaRM.from_pretrained(folder).about["tokenizer"] == fingerprint(tiny_tokenizer())
    other = tiny_tokenizer()
    other.add_tokens(["w99"])
    with pytest.raises(InvalidInput, match="trained with the tokenizer"):
        MetaRM.from_pretrained(folder, tokenizer=other)
    changed = tiny_tokenizer()
    changed.chat_template += " "
    assert fingerprint(changed) != fingerprint(tiny_tokenizer())


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (None, "no chat template"),
        ("{% for m in messages %}{% if m['role'] == 'user' %}{{ m['content'] }}{% endif %}{% endfor %}", "leaves out"),
        ("{{ raise_exception('last turn must be user') }}", "refuses a judgement"),
    ],
)
def test_a_template_that_takes_no_judgement_is_refused(template: str | None, said: str) -> None:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = template
    with pytest.raises(InvalidInput, match=said):
        MetaRM(classifier(), tokenizer)


def test_what_is_no_meta_rm_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="2 labels"):
        MetaRM(classifier(num_labels=2), tiny_tokenizer())
    with pytest.raises(InvalidInput, match="2 labels"):
        MetaRM.from_pretrained(saved(tmp_path / "two", classifier(num_labels=2)))
    with pytest.raises(InvalidInput, match="no sequence classifier"):
        MetaRM.from_pretrained(saved(tmp_path / "causal", tiny_model()))
    with pytest.raises(InvalidInput, match="no `score` head"):
        MetaRM(tiny_model(), tiny_tokenizer())
    with pytest.raises(InvalidInput, match="cannot be loaded"):
        MetaRM.from_pretrained(tmp_path / "nothing")
    with pytest.raises(InvalidInput, match="unknown"):
        MetaRM(classifier(), tiny_tokenizer(), about={"temprature": 1})
    with pytest.raises(InvalidInput, match="temperature -1"):
        MetaRM(classifier(), tiny_tokenizer(), about={"temperature": -1})


# ---------------------------------------------------------------------- adapters and the shared backbone


@pytest.fixture
def grm_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "grm"
    tiny_model().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("own_adapter", [False, True], ids=["merged GRM", "GRM adapter"])
def test_a_shared_backbone_rates_and_judges_as_two_models(grm_folder: Path, tmp_path: Path, own_adapter: bool) -> None:
    meta_folder = tiny_adapter(tmp_path / "meta", grm_folder, "SEQ_CLS", 1)
    grm_name = tiny_adapter(tmp_path / "lora", grm_folder, "CAUSAL_LM", 2) if own_adapter else grm_folder
    ids = torch.tensor([[9, 10, 11, 12]])

    def logits(model: Any) -> Any:
        with torch.inference_mode():
            return model(ids).logits

    alone = AutoModelForCausalLM.from_pretrained(grm_name)
    grm = AutoModelForCausalLM.from_pretrained(grm_name)
    before = logits(alone)
    dedicated = MetaRM.from_pretrained(meta_folder)
    shared = meta_rm_of(meta_folder, grm)
    pairs = [(ASKED, critique("w6")), (ASKED, critique("w7 w8 w9", (1, 0)))]
    assert shared.backbone is grm.base_model
    assert shared.temperature == 2.0
    torch.testing.assert_close(logits(grm), before)
    assert shared(pairs) == pytest.approx(dedicated(pairs), abs=1e-5)
    torch.testing.assert_close(logits(grm), before)
    assert shared(pairs) == pytest.approx(dedicated(pairs), abs=1e-5)
    assert not hasattr(grm, "score")
    assert SHARED in grm.peft_config


def test_another_base_is_not_shared(grm_folder: Path, tmp_path: Path) -> None:
    meta_folder = tiny_adapter(tmp_path / "meta", grm_folder, "SEQ_CLS", 1)
    other = tiny_model(seed=5)
    assert meta_rm_of(meta_folder, other).backbone is not other.base_model
    with pytest.raises(InvalidInput, match="no adapter"):
        MetaRM.on_backbone_of(other, saved(tmp_path / "full"))
    with pytest.raises(InvalidInput, match="PEFT wrapper"):
        MetaRM.on_backbone_of(get_peft_model(tiny_model(), LoraConfig(target_modules="all-linear")), meta_folder)


def test_an_adapter_without_a_tokenizer_takes_its_bases(grm_folder: Path, tmp_path: Path) -> None:
    folder = tiny_adapter(tmp_path / "meta", grm_folder, "SEQ_CLS", 1)
    for file in folder.glob("*token*"):
        file.unlink()
    assert MetaRM.from_pretrained(folder)([(ASKED, critique())]) != [None]
    lone = saved(tmp_path / "lone")
    for file in lone.glob("*token*"):
        file.unlink()
    with pytest.raises(InvalidInput, match="has no tokenizer"):
        MetaRM.from_pretrained(lone)


def test_a_pipeline_shares_by_itself_and_judges_as_before(grm_folder: Path, tmp_path: Path) -> None:
    folder = tiny_adapter(tmp_path / "meta", grm_folder, "SEQ_CLS", 1)
    asked: dict[str, Any] = {"query": "w1", "responses": ["w2", "w3"]}
    settings: dict[str, Any] = {
        "k": 4,
        "max_new_tokens": 6,
        "template": "{conversation} {responses}",
        "temperature": 1.0,
    }
    task: Any = "reward-scoring"
    plain = pipeline(task, model=str(grm_folder), **settings)(asked, return_samples=True)
    pipe = pipeline(task, model=str(grm_folder), meta_model=str(folder), **settings)
    assert SHARED in pipe.model.peft_config
    texts = [[one["text"] for one in result["samples"]] for result in (plain, pipe(asked, return_samples=True))]
    assert texts[0] == texts[1]


# ---------------------------------------------------------------------- guided voting

EXAMPLE = ((1, 5), (5, 6), (4, 8), (7, 6))


def scripted(samples: tuple[tuple[int, ...] | None, ...]) -> Any:
    """A judge whose j-th sample gives the caller's responses these scores (None: unreadable)."""

    def judge(prompt: Prompt) -> str:
        scores = samples[prompt.sample]
        return (
            "no idea" if scores is None else f"Scores: \\boxed{{{', '.join(str(scores[at]) for at in prompt.order)}}}"
        )

    return pipeline("reward-scoring", model=Fake(judge), k=len(samples), quorum=0.1)  # type: ignore[call-overload]


def trusting(*scores: tuple[int, ...]) -> Any:
    """A meta RM that trusts judgements with these scores."""
    return lambda pairs: [float(c.scores in scores) for _, c in pairs]


def test_worked_example_a() -> None:
    """method.md, section 1: totals 17 and 25; a meta RM that keeps samples 1 and 3 gives 5 and 13."""
    pipe = scripted(EXAMPLE)
    assert pipe("q", ["a", "b"])["totals"] == [17, 25]
    guided = pipe("q", ["a", "b"], rate=trusting((1, 5), (4, 8)), k_meta=2)
    assert guided["totals"] == [5, 13]
    assert guided["meta"] == {"model": None, "k_meta": 2, "rated": 4}
    assert pipe("q", ["a", "b"], meta_model=trusting((1, 5), (4, 8)))["totals"] == [5, 13]


def test_worked_example_b() -> None:
    """(8, 8), then reversed (9, 5) and (10, 7): totals 20 for response 1 and 27 for response 2."""
    assert scripted(((8, 8), (5, 9), (7, 10)))("q", ["a", "b"])["totals"] == [20, 27]


def test_more_voters_asked_for_than_are_readable() -> None:
    pipe = scripted(((1, 5), None, (4, 8), None))
    found = pipe("q", ["a", "b"], rate=lambda pairs: [c.scores and 1.0 for _, c in pairs], k_meta=4)
    assert found["totals"] == [5, 13]
    assert found["meta"] == {"model": None, "k_meta": 4, "rated": 2, "all_rated_vote": True}


def test_a_meta_rm_that_says_nothing_leaves_no_score() -> None:
    found = scripted(EXAMPLE)("q", ["a", "b"], rate=lambda pairs: [None] * len(pairs))
    assert found["scores"] is None
    assert found["meta"]["rated"] == 0


def test_a_meta_model_is_named_in_the_call_or_in_the_config(grm_folder: Path, tmp_path: Path) -> None:
    folder = saved(tmp_path / "meta")
    settings: dict[str, Any] = {"k": 2, "max_new_tokens": 4, "template": "{conversation} {responses}"}
    task: Any = "reward-scoring"
    pipe = pipeline(task, model=str(grm_folder), meta_model=str(folder), **settings)
    assert pipe("w1", ["w2", "w3"])["meta"]["model"] == str(folder)
    with pytest.raises(InvalidInput, match="meta_model: prompt"):
        pipe.check(
            {"query": "w1", "responses": ["w2 " * 120, "w3"]}, max_new_tokens=105, template="{conversation}{responses}"
        )
    config = json.loads((grm_folder / "config.json").read_text())
    (grm_folder / "config.json").write_text(json.dumps(config | {"grm": {"meta_rm": str(folder)}}))
    named = pipeline(task, model=str(grm_folder), **settings)
    assert named("w1", ["w2", "w3"])["meta"]["model"] == str(folder)
    assert "meta" not in named("w1", ["w2", "w3"], rule="sum")


def test_a_guided_rule_without_a_meta_rm_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no meta RM to ask; pass meta_model="):
        scripted(EXAMPLE)("q", ["a", "b"], rule="meta_topk")


ALONE = """
import json, sys
sys.modules["modeling_grm"] = None      # not installed: an import of it raises
from transformers import pipeline

pipe = pipeline("reward-scoring", model=sys.argv[1], trust_remote_code=True, meta_model=sys.argv[2], k=4, quorum=0.1)
print(json.dumps(pipe("What is 2+2?", ["4", "I like trains"])))
"""


def test_it_guides_where_the_package_is_missing(tmp_path: Path) -> None:
    judge = save_tiny(tmp_path / "judge")
    make_portable(judge, GRMConfig(template="compact", k=4, max_new_tokens=24))
    meta = saved(tmp_path / "meta", classifier(max_position_embeddings=4096))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HF_", "GRM_"))}
    homes = {"HF_HOME": str(tmp_path / "home"), "HF_MODULES_CACHE": str(tmp_path / "modules"), "HF_HUB_OFFLINE": "1"}
    line = [sys.executable, "-I", "-c", ALONE, str(judge), str(meta)]
    done = subprocess.run(line, env=kept | homes, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["meta"]["model"] == str(meta)
    assert said["meta"]["rated"] == said["n_valid"] > 0
