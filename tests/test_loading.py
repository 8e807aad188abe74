"""Names become pipelines: folders, adapters and clear refusals before the weights."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig, get_peft_model
from tiny import tiny_adapter, tiny_model, tiny_tokenizer
from transformers import pipeline

from modeling_grm.loading import describe, load
from modeling_grm.pipeline_grm import ADAPTER_ASKED
from modeling_grm.storing import open_store
from modeling_grm.trajectories import content_hash
from modeling_grm.types_grm import InvalidInput

ASKED = ("w1 w2", ["w3", "w4 w5"])
SETTINGS: dict[str, Any] = {"k": 2, "max_new_tokens": 4, "template": "{conversation} {responses}"}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    model = tiny_model()
    model.config.grm = {"template": "compact", "k": 3}
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def test_a_folder_is_loaded_and_described(checkpoint: Path) -> None:
    facts = describe(str(checkpoint))
    assert facts["architecture"] == "LlamaForCausalLM"
    assert (facts["context_tokens"], facts["template"], facts["k"]) == (256, "compact", 3)
    assert facts["brings_its_own_pipeline"] is False
    assert load(str(checkpoint))(*ASKED, **SETTINGS)["k"] == 2


def test_an_adapter_finds_its_base(checkpoint: Path, tmp_path: Path) -> None:
    model = get_peft_model(tiny_model(), LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False))
    model.peft_config["default"].base_model_name_or_path = str(checkpoint)
    model.save_pretrained(tmp_path / "adapter")
    pipe = load(str(tmp_path / "adapter"))
    assert any("lora" in name for name, _ in pipe.model.named_parameters())
    assert pipe(*ASKED, **SETTINGS)["k"] == 2
    assert describe(str(tmp_path / "adapter"))["context_tokens"] == 256
    assert pipe.configuration().k == 3  # its base's
    (tmp_path / "adapter" / "grm.json").write_text(json.dumps({"template": "compact-closed", "k": 5}))
    assert load(str(tmp_path / "adapter")).configuration().k == describe(str(tmp_path / "adapter"))["k"] == 5


def test_what_an_adapter_judged_is_not_its_bases(checkpoint: Path, tmp_path: Path) -> None:
    settings = []
    for seed in (0, 1):
        tiny_adapter(tmp_path / f"judge-{seed}", checkpoint, "CAUSAL_LM", seed)
    for name in ("judge-0", "judge-1", checkpoint):
        pipe = load(str(tmp_path / name))
        with open_store(tmp_path / f"store-{len(settings)}", pipe, {"k": 1}, "transformers") as store:
            settings.append(store.settings)
    assert {(made.model, made.revision) for made in settings} == {(checkpoint.name, content_hash(checkpoint))}
    folders = [tmp_path / name for name in ("judge-0", "judge-1")]
    assert [made.adapter for made in settings] == [*(f"{one.name}@{content_hash(one)}" for one in folders), None]
    assert len({made.digest for made in settings}) == 3
    assert load(str(folders[0]))(*ASKED, **SETTINGS)["model"] == str(folders[0])


def test_a_bare_pipeline_warns_that_it_does_not_know_an_adapters_template(tmp_path: Path) -> None:
    tiny_model().save_pretrained(tmp_path / "base")
    tiny_tokenizer().save_pretrained(tmp_path / "base")
    model = get_peft_model(tiny_model(), LoraConfig(r=2, target_modules="all-linear"))
    model.peft_config["default"].base_model_name_or_path = str(tmp_path / "base")
    model.save_pretrained(tmp_path / "adapter")
    (tmp_path / "adapter" / "grm.json").write_text(json.dumps({"template": "compact"}))
    task: Any = "reward-scoring"
    with pytest.warns(UserWarning, match=r"asked with deepseek-grm, .*loading.load\(model\) does"):
        pipeline(task, model=str(tmp_path / "adapter"))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=ADAPTER_ASKED)
        pipeline(task, model=str(tmp_path / "adapter"), template="compact")
        assert load(str(tmp_path / "adapter")).configuration().template == "compact"


def test_refused_before_the_weights(checkpoint: Path, tmp_path: Path) -> None:
    for weights in checkpoint.glob("*.safetensors"):
        weights.write_bytes(b"not weights")
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(config | {"grm": {"kk": 3}}))
    with pytest.raises(InvalidInput, match="kk"):
        load(str(checkpoint))
    (checkpoint / "config.json").write_text(json.dumps(config))
    (checkpoint / "chat_template.jinja").unlink()
    with pytest.raises(InvalidInput, match="no chat template"):
        load(str(checkpoint))
    with pytest.raises(InvalidInput, match=r"model: .* cannot be loaded"):
        load(str(tmp_path / "nothing"))
