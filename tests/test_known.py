"""Released judges by their Hub ids: the right template and settings, the same architectures, the real tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hub import LocalHub
from hub.accounts import TOKENS, Account
from test_chat_templates import published
from tiny import LATENT, SIZES, tiny_model, tiny_tokenizer
from tiny_judge import byte_tokenizer, save_tiny
from transformers import (
    AutoTokenizer,
    DeepseekV2Config,
    DeepseekV2ForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma2ForSequenceClassification,
    pipeline,
)

from modeling_grm.backends.fake import Fake
from modeling_grm.configuration_grm import GRMConfig
from modeling_grm.generation_grm import encode
from modeling_grm.known_grm import KNOWN, settings_of
from modeling_grm.loading import describe, load
from modeling_grm.pipeline_grm import RewardScoringPipeline
from modeling_grm.prompts_grm import TEMPLATES, render
from modeling_grm.types_grm import InvalidInput, Request

SMALL, LARGE, META = (f"BBQGOD/DeepSeek-GRM-{name}" for name in ("16B", "27B", "27B-MetaRM"))
ASKED = ("Name a colour.", ["Red.", "I like trains."])
QUICK: dict[str, Any] = {"k": 2, "max_new_tokens": 4}
CONTEXT = {"max_position_embeddings": 8192}
GEMMA = {"sliding_window": 16, "attn_logit_softcapping": 2.0}


def deepseek(vocabulary: int) -> Any:
    return DeepseekV2ForCausalLM(DeepseekV2Config(**SIZES | LATENT | CONTEXT | {"vocab_size": vocabulary}))


def gemma(vocabulary: int) -> Any:
    return Gemma2ForCausalLM(Gemma2Config(**SIZES | CONTEXT | GEMMA | {"vocab_size": vocabulary}))


def gemma_meta(vocabulary: int) -> Any:
    sizes = SIZES | CONTEXT | GEMMA | {"vocab_size": vocabulary, "num_labels": 1}
    return Gemma2ForSequenceClassification(Gemma2Config(**sizes))


RELEASED: dict[str, Any] = {SMALL: deepseek, LARGE: gemma, META: gemma_meta}
REMOTE = {"AutoConfig": "configuration_deepseek.DeepseekV2Config", "AutoModelForCausalLM": "modeling_deepseek.Model"}


@pytest.fixture
def released(hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalHub:
    """The three checkpoints on a Hub: their architectures, random and tiny, and nothing about judging."""
    monkeypatch.setitem(TOKENS, "hf_publisher", Account("BBQGOD", "write"))
    api = hub.api("hf_publisher")
    for name, make in RELEASED.items():
        folder, tokenizer = tmp_path / name, byte_tokenizer()
        torch.manual_seed(0)
        make(len(tokenizer)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | ({"auto_map": REMOTE} if name == SMALL else {})))
        api.create_repo(name)
        api.upload_folder(repo_id=name, folder_path=folder)
    return hub


def test_the_table_names_the_released_checkpoints() -> None:
    assert set(KNOWN) == {SMALL, LARGE}
    assert all(config.template in TEMPLATES for config in KNOWN.values())


def test_what_a_checkpoint_says_itself_counts_more() -> None:
    assert settings_of(SMALL, {"template": "compact"}) == GRMConfig(template="compact")
    assert settings_of(SMALL, None) == KNOWN[SMALL]
    assert settings_of("org/chat", None) == GRMConfig()
    with pytest.raises(InvalidInput, match="unknown"):
        settings_of(SMALL, {"tempreture": 1})


def test_they_are_known_on_every_engine() -> None:
    engine = Fake(["Scores: \\boxed{8, 3}"])
    engine.name_or_path = LARGE
    pipe = RewardScoringPipeline(engine)
    assert pipe.grm == KNOWN[LARGE]
    assert pipe(*ASKED)["base"] == "google/gemma-2-27b"


@pytest.mark.parametrize("name", [SMALL, LARGE])
def test_they_judge_by_id_out_of_the_box(released: LocalHub, name: str) -> None:
    facts = describe(name)
    assert facts["settings"] == "known by its id"
    assert facts["template"] == "deepseek-grm-card"
    pipe = pipeline("reward-scoring", model=name, pipeline_class=RewardScoringPipeline)
    assert type(pipe.model).__name__ == facts["architecture"]
    assert pipe.configuration() == KNOWN[name]
    result = pipe(*ASKED, **QUICK, return_samples=True)
    assert result["k"] == len(result["samples"]) == 2
    assert not {sample["outcome"] for sample in result["samples"]} & {"engine_error"}
    assert load(name).configuration() == KNOWN[name]


def test_the_meta_rm_rates_by_id(released: LocalHub, tmp_path: Path) -> None:
    judge = save_tiny(tmp_path / "judge", {"template": "compact", "k": 4, "max_new_tokens": 24})
    pipe = pipeline("reward-scoring", model=str(judge), meta_model=META, k_meta=2)
    result = pipe(*ASKED)
    assert result["meta"]["model"] == META
    assert result["meta"]["rated"] == result["n_valid"] > 0


def test_a_meta_rm_in_the_place_of_a_judge_is_refused(released: LocalHub) -> None:
    with pytest.raises(InvalidInput, match="a Gemma2ForSequenceClassification writes no judgements"):
        load(META)
    with pytest.raises(InvalidInput, match="a meta RM is given as meta_model="):
        pipeline("reward-scoring", model=META, pipeline_class=RewardScoringPipeline)


def test_any_chat_model_is_an_untrained_judge(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path)
    tiny_tokenizer().save_pretrained(tmp_path)
    facts = describe(str(tmp_path))
    assert facts["settings"] == "the defaults: nobody trained it as a judge"
    assert (facts["template"], facts["k"], facts["temperature"]) == ("deepseek-grm", 8, 0.5)


def test_a_judge_of_its_own_says_so(tmp_path: Path) -> None:
    assert describe(str(save_tiny(tmp_path, {"template": "compact"})))["settings"] == "its own"


def test_the_real_tokens_are_those_of_the_released_prompt(hub: LocalHub, tmp_path: Path) -> None:
    """DeepSeek-V2's own tokenizer beside the architecture, by id: the ids are its chat template's."""
    folder = tmp_path / "model"
    folder.mkdir()
    tokenizer = published("deepseek-v2", folder)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(TOKENS, "hf_publisher", Account("BBQGOD", "write"))
        torch.manual_seed(0)
        deepseek(len(tokenizer)).save_pretrained(folder)
        hub.api("hf_publisher").create_repo(SMALL)
        hub.api("hf_publisher").upload_folder(repo_id=SMALL, folder_path=folder)
    pipe = load(SMALL)
    request = Request("Name a colour.", ["Red.", "I like trains."])
    turns = render(request, (1, 0), pipe.configuration().template)
    words = turns[0]["content"]
    assert "score of all resposnes in order, seperate by comma in the boxed" in words
    ids = encode(pipe.tokenizer, turns)
    own = AutoTokenizer.from_pretrained(folder)
    assert ids == own(f"<｜begin▁of▁sentence｜>User: {words}\n\nAssistant:", add_special_tokens=False)["input_ids"]
    assert ids == list(own.apply_chat_template(list(turns), add_generation_prompt=True, return_dict=False))
    assert ids.count(own.bos_token_id) == 1
    assert pipe(request, **QUICK)["k"] == 2
