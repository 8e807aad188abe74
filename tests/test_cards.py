"""hub_cards: every field has its place, every number its interval, and what is missing is named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import publishable
import pytest
import yaml
from hub import LocalHub
from tiny_judge import tiny_judge

from hub_cards import (
    CARDS,
    Card,
    CodeCard,
    Count,
    Figure,
    GRMCard,
    Measured,
    MetaRMCard,
    MissingField,
    PreferencesCard,
    SpaceCard,
    TrajectoriesCard,
    from_mapping,
    python_blocks,
    render,
)
from modeling_grm.embedded import HUB_ID
from modeling_grm.publishing.code import code_repo
from modeling_grm.publishing.models import Options, model_repo
from modeling_grm.publishing.repository import Repo
from modeling_grm.publishing.rows import dataset_repo
from modeling_grm.publishing.spaces import space_repo
from modeling_grm.publishing.uploading import client, upload

COMMON: dict[str, Any] = publishable.SAID | {"repo_id": "org/it", "version": "1.2.3"}
MEASURED = Measured((Figure("pairs", 0.906, 0.874, 0.931, 400), Figure("a | b\n<i>", 0.5)), {"k": 8, "model": "org/it"})
MADE = {"base_model": "org/base", "training": "Ten steps.", "datasets": ["org/rows"], "measured": MEASURED}
ROWS = {
    "rows": 12_345,
    "counts": [Count("sums", "MIT", 12_000), Count("a|b", "Apache-2.0", 345)],
    "columns": [("id", "string", "a | name")],
}
EXAMPLES: dict[str, dict[str, Any]] = {
    "grm": COMMON | MADE | {"settings": {"template": "compact", "k": 8, "meta_rm": None}},
    "meta-rm": COMMON | MADE | {"judge": "org/judge"},
    "code": COMMON | {"files": ["pipeline_grm.py"], "example": "org/chat"},
    "trajectories": COMMON | ROWS | {
        "items": 3,
        "outcomes": {"ok": 12_000, "truncated": 345},
        "settings": [{"model": "org/judge", "adapter": None, "temperature": 0.5}],
        "configs": {"default": {"train": "data/*.parquet"}, "meta": {"train": "meta/*.parquet"}},
    },
    "preferences": COMMON | ROWS | {
        "shapes": {1: 5, 2: 12_340}, "configs": {"default": {"test": "data/test-*.parquet"}},
    },
    "space": COMMON | {"emoji": "⚖️", "color_from": "blue", "color_to": "gray", "sdk_version": "6.31.0",
                       "models": ["org/judge"], "hardware": "zero-a10g"},
}  # fmt: skip


def made(kind: str, **changed: Any) -> Card:
    return from_mapping(CARDS[kind], EXAMPLES[kind] | changed)


def front_matter(text: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(text.split("---\n")[1])
    return found


@pytest.mark.parametrize("kind", CARDS)
def test_a_card_opens_with_its_metadata_and_a_quick_start(kind: str) -> None:
    text = render(made(kind))
    said = front_matter(text)
    assert said["license"] in ("apache-2.0", ["apache-2.0", "mit"])
    assert "reward-model" in said["tags"]
    [block] = python_blocks(text)
    compile(block, kind, "exec")
    body = text.split("---\n", 2)[2]
    assert body.startswith("\n# A tiny judge\n\nRandom weights, for tests.\n")
    assert body.index("```python") < body.index("## ") if "## " in body else True
    assert "It has learnt nothing." in body
    assert "{{" not in text
    assert "\n\n\n\n" not in text


@pytest.mark.parametrize("kind", CARDS)
def test_a_missing_field_is_named(kind: str) -> None:
    fields = {name for name in EXAMPLES[kind] if name not in ("measured", "datasets", "hardware")}
    for name in fields:
        rest = {key: value for key, value in EXAMPLES[kind].items() if key != name}
        with pytest.raises(MissingField, match=rf"card: {name} "):
            from_mapping(CARDS[kind], rest)
        with pytest.raises(MissingField, match=rf"card: {name} is missing"):
            from_mapping(CARDS[kind], rest | {name: None})


def test_several_missing_fields_are_named_together() -> None:
    with pytest.raises(MissingField, match=r"card: licence, limits missing; say it in card\.yaml"):
        from_mapping(GRMCard, {k: v for k, v in EXAMPLES["grm"].items() if k not in ("licence", "limits")})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"licens": "mit"}, "licens is an unknown field"),
        ({"limits": "one text"}, "limits 'one text' is not usable; give a list of texts"),
        ({"language": [1]}, r"language \[1\] is not usable"),
        ({"title": 3}, "title 3 is not usable; give text"),
        ({"summary": ""}, "summary is missing"),
    ],
)
def test_an_unusable_field_is_named(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(MissingField, match=said):
        made("grm", **changed)


def test_a_template_that_asks_for_more_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CodeCard, "template", "grm.md.jinja")
    with pytest.raises(MissingField, match=r"card: .*(adapter|settings)"):
        render(made("code"))


def test_the_hub_knows_what_models_are() -> None:
    grm, meta = front_matter(render(made("grm"))), front_matter(render(made("meta-rm")))
    assert (grm["pipeline_tag"], meta["pipeline_tag"]) == ("text-generation", "text-classification")
    assert (grm["library_name"], grm["base_model"], grm["datasets"]) == ("transformers", "org/base", ["org/rows"])
    assert grm["language"] == ["en"]
    assert front_matter(render(made("grm", adapter=True)))["library_name"] == "peft"


def test_figures_stand_with_their_intervals_and_their_settings() -> None:
    text = render(made("grm"))
    assert "| pairs | 0.906 | 0.874 - 0.931 | 400 |" in text
    assert "| a \\| b &lt;i> | 0.500 | - - - | - |" in text
    assert "- k: 8\n- model: org/it\n" in text
    assert "nothing is claimed" in render(made("grm", measured=None))


def test_settings_that_say_nothing_are_left_out() -> None:
    text = render(made("grm"))
    assert "| `template` | compact |" in text
    assert "meta_rm" not in text


def test_a_dataset_says_whose_rows_it_holds() -> None:
    text = render(made("trajectories"))
    said = front_matter(text)
    assert said["license"] == ["apache-2.0", "mit"]
    assert said["size_categories"] == "10K<n<100K"
    assert [(one["config_name"], one.get("default", False)) for one in said["configs"]] == [
        ("default", True),
        ("meta", False),
    ]
    assert "| a\\|b | Apache-2.0 | 345 |" in text
    assert "| `id` | `string` | a \\| name |" in text
    assert 'load_dataset("org/it", split="test")' in render(made("preferences"))


def test_a_space_is_what_it_is_used_for() -> None:
    said = front_matter(render(made("space")))
    assert (said["sdk"], said["suggested_hardware"], said["colorFrom"]) == ("gradio", "zero-a10g", "blue")
    assert 'evaluate.load("org/it"' in render(made("space", use="metric", models=()))
    with pytest.raises(MissingField, match="use 'toy' is not usable; give one of pipeline, metric"):
        made("space", use="toy")
    with pytest.raises(MissingField, match="models is missing"):
        made("space", models=())


@pytest.mark.parametrize("kind", ["grm", "meta-rm"])
def test_an_adapter_says_that_it_needs_the_package(kind: str) -> None:
    text = render(made(kind, adapter=True))
    assert "pip install modeling-grm" in text
    assert "modeling_grm" in python_blocks(text)[0]
    assert "trust_remote_code" not in python_blocks(text)[0]


def test_every_kind_is_exported() -> None:
    assert set(CARDS.values()) == {GRMCard, MetaRMCard, CodeCard, TrajectoriesCard, PreferencesCard, SpaceCard}


RUN = """
import contextlib, io, json, sys, warnings
warnings.simplefilter("ignore")
if sys.argv[1] == "alone":
    sys.modules["modeling_grm"] = None
said = {}
for name, block in json.load(sys.stdin).items():
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(block, name, "exec"), {"__name__": name})
    said[name] = out.getvalue()
print(json.dumps(said))
"""


def run_blocks(hub: LocalHub, home: Path, blocks: dict[str, str], mode: str) -> dict[str, str]:
    """What each block prints, in one fresh process that knows this Hub alone."""
    line = [sys.executable, "-I", "-c", RUN, mode]
    home.mkdir()
    env = hub.environment(home) | {"HF_MODULES_CACHE": str(home / "modules"), "OMP_NUM_THREADS": "1"}
    env |= {"HF_EVALUATE_CACHE": str(home / "evaluate")}
    done = subprocess.run(line, env=env, cwd=home, input=json.dumps(blocks), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    said: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return said


@pytest.mark.slow
def test_every_python_block_runs(hub: LocalHub, tmp_path: Path) -> None:
    """Each kind is published to the local Hub; then its card's block is run as a stranger would run it."""
    api, folders = client(), tmp_path / "made"

    def published(repo: Repo) -> str:
        upload(repo, api)
        [block] = python_blocks((repo.folder / "README.md").read_text(encoding="utf-8"))
        return block

    def out(name: str) -> Path:
        (folders / name).mkdir(parents=True)
        return folders / name

    judge, meta = publishable.judge(tmp_path / "judge"), publishable.meta_rm(tmp_path / "meta")
    alone = {
        "grm": published(model_repo(judge, "me/judge", out("grm"))),
        "meta": published(model_repo(meta, "me/meta", out("meta"))),
        "rows": published(dataset_repo(publishable.rows(tmp_path / "rows"), "me/rows", out("rows"))),
        "store": published(dataset_repo(publishable.store(tmp_path / "store"), "me/store", out("store"))),
        "space": published(space_repo(publishable.space(tmp_path / "space"), "me/space", out("space"))),
    }
    chat = tmp_path / "chat"  # what the card names in its place is on the Hub, not here
    for part in tiny_judge(8192):
        part.save_pretrained(chat)
    upload(Repo("me/chat", "model", chat, "grm"), api)
    alone["code"] = published(code_repo("me/code", out("code"))).replace(HUB_ID, "me/chat")
    adapter = publishable.adapter(tmp_path / "adapter", "me/judge")
    ours = {"adapter": published(model_repo(adapter, "me/adapter", out("adapter"), Options(adapter_only=True)))}
    said = run_blocks(hub, tmp_path / "stranger", alone, "alone") | run_blocks(hub, tmp_path / "ours", ours, "with")
    assert set(said) == {"grm", "meta", "rows", "store", "space", "code", "adapter"}
    assert said["rows"] == "['4', '5'] 0\n"
    assert said["store"].startswith("ok [")
    assert all(text.strip() for text in said.values())
