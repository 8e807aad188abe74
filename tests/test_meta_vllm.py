"""The meta RM in vLLM and in transformers: the same logits, within 1e-3 in fp32."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForSequenceClassification

from modeling_grm.meta_rm_grm import MetaRM
from modeling_grm.toys import byte_tokenizer
from modeling_grm.types_grm import Critique, InvalidInput, Outcome, Request

TOLERANCE = 1e-3
pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("default")]  # vLLM's own are not ours to mend


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random classifier, large enough for vLLM's attention."""
    tokenizer = byte_tokenizer(lines=())
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=1024,
        num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
        problem_type="multi_label_classification",
    )
    model = LlamaForSequenceClassification(config)
    for weights in model.parameters():
        weights.data.mul_(3.0 if weights.dim() > 1 else 1.0)
    path = tmp_path_factory.mktemp("meta")
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def test_the_logits_are_those_of_transformers(folder: Path) -> None:
    from modeling_grm.backends.vllm_meta import VLLMMetaRM

    request = Request("Why?", ["first answer", "second"])
    pairs = [
        (request, Critique(f"Analysis: {'good ' * at}.\nScores: \\boxed{{5, 6}}", Outcome.OK, order, at, (5, 6)))
        for at, order in enumerate([(0, 1), (1, 0)] * 4)
    ]
    expected = MetaRM.from_pretrained(folder, dtype=torch.float32)(pairs)
    meta = VLLMMetaRM(str(folder), dtype="float32", enforce_eager=True, max_model_len=512)
    found = meta(pairs)
    meta.llm.llm_engine.engine_core.shutdown()
    assert len({round(logit or 0, 2) for logit in expected}) > 4
    assert found == pytest.approx(expected, abs=TOLERANCE)
    assert (meta.context, meta.name_or_path) == (512, str(folder))


def test_an_adapter_is_refused(tmp_path: Path, folder: Path) -> None:
    from modeling_grm.backends.vllm_meta import VLLMMetaRM

    config = f'{{"base_model_name_or_path": "{folder}", "peft_type": "LORA"}}'
    (tmp_path / "adapter_config.json").write_text(config)
    with pytest.raises(InvalidInput, match="merge it into its base"):
        VLLMMetaRM(str(tmp_path))
