"""A model's repository: weights as safetensors, tokenizer, a configuration that names the pipeline, its code, a card.

    model_repo(Path("runs/mine"), "org/my-grm", out)        a GRM or a meta RM, whole or an adapter (merged)
    model_repo(Path("embedded"), "org/smollm2-135m-grm", out)

Knows nothing about the Hub itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub_cards import GRMCard, Measured, MetaRMCard, from_mapping, render

from ..configuration_grm import GRMConfig
from ..embedded import ADAPTER as EMBEDDED_ADAPTER
from ..embedded import embedded_judge
from ..first_reading_grm import SELF
from ..judged_grm import ADAPTER_FILE, KEY
from ..loading import ADAPTER_SETTINGS
from ..meta_rm_grm import described
from ..portable import make_portable
from ..types_grm import InvalidInput
from .measured import found_in, measured
from .repository import CARD_FILE, README, VERSION, Repo, author_says
from .weights import (
    ADAPTER,
    CONFIG,
    FULL,
    base_of,
    check_weights,
    collect,
    is_adapter,
    kind_of,
    merge,
    read_json,
    write_json,
)

EMBEDDED = ("embedded", "modeling_grm/embedded")
EMBEDDED_REPORT = Path(__file__).resolve().parent.parent.parent / "recipes" / "eval" / "report.json"  # of a checkout
OURS = ("*_grm.py", "*.safetensors", "*.safetensors.index.json", "adapter_*", ADAPTER_SETTINGS, ADAPTER_FILE)


@dataclass(frozen=True)
class Options:
    """How a model is published.

    Attributes:
        card: the author's `card.yaml`; the one in the folder if None.
        report: a report.json, for the card's table and `.eval_results/`.
        adapter_only: publish an adapter as it is; only those who have the package can use it.
        code: Hub id of the repository of the pipeline's files, in the place of a copy.
        link: link large files instead of copying them, in a folder that does not last.
    """

    card: Path | None = None
    report: Path | None = None
    adapter_only: bool = False
    code: str | None = None
    link: bool = False


def model_repo(folder: Path, repo_id: str, out: Path, options: Options = Options()) -> Repo:
    """Make the repository of a model in an empty folder.

    Raises:
        InvalidInput: what keeps it from being published, by name.
    """
    embedded = folder.as_posix().rstrip("/") in EMBEDDED
    card = options.card or (EMBEDDED_ADAPTER if embedded else folder) / CARD_FILE
    source = (EMBEDDED_ADAPTER if options.adapter_only else embedded_judge()) if embedded else folder
    kind, adapter = kind_of(source), is_adapter(source)
    check_weights(source)
    if options.adapter_only and not adapter:
        raise InvalidInput(f"adapter_only: {source} is a whole checkpoint; leave the option out")
    said = author_says(card, repo_id)
    report = options.report or (EMBEDDED_REPORT if embedded and EMBEDDED_REPORT.is_file() else None)
    found, entries = measured(report) if report else (None, {})
    if options.adapter_only:
        _check_public_base(source)
        collect(source, out, ADAPTER, link=options.link)
    elif adapter:
        merge(source, out)
    else:
        collect(source, out, FULL, link=options.link)
    KINDS[kind](out, repo_id, said, found, options)
    for path, text in entries.items():
        (out / path).parent.mkdir(exist_ok=True)
        (out / path).write_text(text, encoding="utf-8")
    checked_as = f"{kind} adapter" if options.adapter_only else kind
    return Repo(repo_id, "model", out, checked_as, replaces=OURS)


def _check_public_base(adapter: Path) -> None:
    base = base_of(adapter)
    if Path(base).exists() or base.count("/") != 1:
        raise InvalidInput(
            f"adapter_only: its base is {base}, a folder that nobody else has; publish it merged, or write the base's "
            "Hub id into adapter_config.json"
        )


def _check_public(name: str, value: str | None) -> None:
    if value is not None and value != SELF and (Path(value).exists() or Path(value).is_absolute()):
        raise InvalidInput(f"{name}: {value} is a folder that nobody else has; publish it, and write its Hub id there")


def _grm(out: Path, repo_id: str, said: dict[str, Any], found: Measured | None, options: Options) -> None:
    """Settings, code and card of a GRM."""
    place, key = (out / ADAPTER_SETTINGS, None) if options.adapter_only else (out / CONFIG, "grm")
    stored = read_json(place) if place.is_file() else {}
    settings = GRMConfig.from_dict(stored.get(key) if key else stored)
    settings = settings.override(base=settings.base or said.get("base_model"))
    _check_public("meta_rm", settings.meta_rm)
    if options.adapter_only:
        write_json(place, settings.to_dict())
    else:
        write_json(place, _plain_config(stored))
        make_portable(out, settings, options.code)
    card = from_mapping(
        GRMCard, said, repo_id=repo_id, version=VERSION, settings=settings.to_dict(), measured=found,
        adapter=options.adapter_only, code=options.code,
    )  # fmt: skip
    (out / README).write_text(render(card), encoding="utf-8")


def _meta_rm(out: Path, repo_id: str, said: dict[str, Any], found: Measured | None, options: Options) -> None:
    """What a loader must know, and the card, of a meta RM."""
    if options.code:
        raise InvalidInput("code: a meta RM brings none; its judge's pipeline loads it")
    place = out / (ADAPTER_FILE if options.adapter_only else CONFIG)
    stored = read_json(place) if place.is_file() else {}
    about = dict(stored if options.adapter_only else stored.get(KEY) or {})
    if "base" in about:
        about["base"] = said.get("base_model", about["base"])
    found = found or (found_in(about["report"], KEY) if about.get("report") else None)
    write_json(place, about if options.adapter_only else _plain_config(stored) | {KEY: about})
    if not options.adapter_only:
        described(str(out))  # refuses more than one label
    card = from_mapping(
        MetaRMCard, said, repo_id=repo_id, version=VERSION, measured=found, adapter=options.adapter_only
    )
    (out / README).write_text(render(card), encoding="utf-8")


def _plain_config(config: dict[str, Any]) -> dict[str, Any]:
    """Without modelling code of another repository, which transformers does not need for models that it has itself.

    Raises:
        InvalidInput: it does not have this one.
    """
    from transformers import CONFIG_MAPPING

    if "auto_map" in config and config.get("model_type") not in CONFIG_MAPPING:
        raise InvalidInput(
            f"folder: model_type {config.get('model_type')!r} needs code of its own (auto_map), which is not "
            "published; give a model that transformers has"
        )
    return {name: value for name, value in config.items() if name != "auto_map"}


KINDS = {"grm": _grm, "meta-rm": _meta_rm}
