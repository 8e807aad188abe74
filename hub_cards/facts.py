"""What a card says, kind by kind, as typed fields, and the metadata that the Hub reads from it.

    title: SmolLM2-135M-GRM            # card.yaml, what only its author knows
    licence: apache-2.0
    language: [en]
    limits: ["It cannot tell two plausible answers apart."]

Knows what must be there, and what the Hub calls it; nothing about templates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, ClassVar, TypeVar

from huggingface_hub import CardData, DatasetCardData, ModelCardData, SpaceCardData

from modeling_grm.types_grm import InvalidInput

EMPTY: tuple[Any, ...] = ("", [], (), {})
TAGS = ("reward-model", "generative-reward-model", "llm-as-a-judge")
SIZES = (
    (10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"),
    (10**8, "10M<n<100M"), (10**9, "100M<n<1B"),
)  # fmt: skip
HUB_LICENCES = {"apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc-by-sa-4.0", "cc0-1.0", "odc-by"}
CITATION = """@article{liu2025inference,
  title={Inference-Time Scaling for Generalist Reward Modeling},
  author={Liu, Zijun and Wang, Peiyi and Xu, Runxin and Ma, Shirong and Ruan, Chong and Li, Peng and Liu, Yang and
          Wu, Yu},
  journal={arXiv preprint arXiv:2504.02495},
  year={2025}
}"""


class MissingField(InvalidInput):
    """A card's field that is not there, or not usable, by its name."""


@dataclass(frozen=True)
class Figure:
    """One measured number: `low` and `high` bound its 95% interval, `items` says on how many items it stands."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    items: int | None = None


@dataclass(frozen=True)
class Measured:
    """What a report measured, and how: settings as name -> value."""

    figures: tuple[Figure, ...]
    how: Mapping[str, Any]


@dataclass(frozen=True)
class Count:
    """How many rows come from a source under a licence."""

    source: str
    licence: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class Card:
    """What every card has.

    Attributes:
        repo_id: `org/name`.
        title: heading.
        summary: one paragraph.
        licence: as the Hub writes it, such as `apache-2.0`.
        language: two-letter codes.
        limits: what it cannot do, and its known biases; at least one.
        version: of modeling-grm, whose code or format this is.
    """

    repo_id: str
    title: str
    summary: str
    licence: str
    language: Sequence[str]
    limits: Sequence[str]
    version: str
    template: ClassVar[str]

    def __post_init__(self) -> None:
        for field in fields(self):
            _check(field, getattr(self, field.name))

    def metadata(self) -> CardData:
        """What the Hub reads."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class _ModelCard(Card):
    """What the cards of models have.

    Attributes:
        base_model: Hub id of what it was made from.
        training: how it was made, in Markdown.
        datasets: Hub ids of what it was trained on.
        measured: from a report; None where there is none, and then the card says so.
        adapter: it is a LoRA adapter, which needs the package.
        citation: BibTeX.
    """

    base_model: str
    training: str
    datasets: Sequence[str] = ()
    measured: Measured | None = None
    adapter: bool = False
    citation: str = CITATION
    pipeline_tag: ClassVar[str]
    tags: ClassVar[tuple[str, ...]]

    def metadata(self) -> ModelCardData:
        """What the Hub reads; `pipeline_tag` is one that it knows."""
        return ModelCardData(
            base_model=self.base_model,
            datasets=list(self.datasets) or None,
            language=list(self.language),
            library_name="peft" if self.adapter else "transformers",
            license=self.licence,
            pipeline_tag=self.pipeline_tag,
            tags=[*TAGS, *self.tags],
        )


@dataclass(frozen=True, kw_only=True)
class GRMCard(_ModelCard):
    """A generative reward model: `settings` as in `config.json["grm"]`; `code` is the repository of its code."""

    settings: Mapping[str, Any]
    code: str | None = None
    template: ClassVar[str] = "grm.md.jinja"
    pipeline_tag: ClassVar[str] = "text-generation"
    tags: ClassVar[tuple[str, ...]] = ("reward-scoring",)


@dataclass(frozen=True, kw_only=True)
class MetaRMCard(_ModelCard):
    """A meta RM: `judge` is the Hub id of a GRM whose judgements it rates."""

    judge: str
    template: ClassVar[str] = "meta_rm.md.jinja"
    pipeline_tag: ClassVar[str] = "text-classification"
    tags: ClassVar[tuple[str, ...]] = ("meta-reward-model",)


@dataclass(frozen=True, kw_only=True)
class CodeCard(Card):
    """A repository of nothing but the pipeline's files: `example` is a chat model's Hub id, `files` their names."""

    files: Sequence[str]
    example: str
    template: ClassVar[str] = "code.md.jinja"

    def metadata(self) -> ModelCardData:
        """What the Hub reads."""
        tags = [*TAGS, "custom-pipeline"]
        return ModelCardData(license=self.licence, language=list(self.language), library_name="transformers", tags=tags)


@dataclass(frozen=True, kw_only=True)
class _DatasetCard(Card):
    """What the cards of datasets have.

    Attributes:
        rows: how many.
        counts: rows by source and licence.
        columns: (name, type, note) of each.
        configs: name of a configuration -> split -> files.
    """

    rows: int
    counts: Sequence[Count]
    columns: Sequence[tuple[str, str, str]]
    configs: Mapping[str, Mapping[str, str]]
    tags: ClassVar[tuple[str, ...]]

    @property
    def split(self) -> str:
        """The first split of the first configuration, for the quick start."""
        return next(iter(next(iter(self.configs.values()))))

    def metadata(self) -> DatasetCardData:
        """What the Hub reads."""
        licences = {count.licence.lower() for count in self.counts}
        configs = [
            {"config_name": name, "data_files": [{"split": split, "path": path} for split, path in files.items()]}
            | ({"default": True} if at == 0 else {})
            for at, (name, files) in enumerate(self.configs.items())
        ]
        return DatasetCardData(
            language=list(self.language),
            license=sorted(licences) if len(licences) > 1 and licences <= HUB_LICENCES else self.licence,
            size_categories=next((name for limit, name in SIZES if self.rows < limit), "other"),
            task_categories=["text-generation"],
            pretty_name=self.title,
            tags=[*TAGS, *self.tags],
            configs=configs,
        )


@dataclass(frozen=True, kw_only=True)
class TrajectoriesCard(_DatasetCard):
    """Sampled judgements: `outcomes` says how many ended how, `settings` how they were sampled, `items` of how many."""

    items: int
    outcomes: Mapping[str, int]
    settings: Sequence[Mapping[str, Any]]
    template: ClassVar[str] = "trajectories.md.jinja"
    tags: ClassVar[tuple[str, ...]] = ("trajectories",)


@dataclass(frozen=True, kw_only=True)
class PreferencesCard(_DatasetCard):
    """Preference items: `shapes` says how many items have how many responses."""

    shapes: Mapping[int, int]
    template: ClassVar[str] = "preferences.md.jinja"
    tags: ClassVar[tuple[str, ...]] = ("preferences",)


USES = ("pipeline", "metric")


@dataclass(frozen=True, kw_only=True)
class SpaceCard(Card):
    """A Space.

    Attributes:
        emoji, color_from, color_to: of its tile.
        sdk, sdk_version, app_file: what runs it.
        models, datasets: Hub ids of what it shows; a Space whose use is `pipeline` names at least one model.
        hardware: what it is created with, and suggested to who duplicates it; None is the Hub's own choice.
        use: what its code block shows: `pipeline`, or `metric` for a module of `evaluate`.
    """

    emoji: str
    color_from: str
    color_to: str
    sdk_version: str
    sdk: str = "gradio"
    app_file: str = "app.py"
    models: Sequence[str] = ()
    datasets: Sequence[str] = ()
    hardware: str | None = None
    use: str = "pipeline"
    template: ClassVar[str] = "space.md.jinja"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.use not in USES:
            raise MissingField(f"card: use {self.use!r} is not usable; give one of {', '.join(USES)}")
        if self.use == "pipeline" and not self.models:
            raise MissingField("card: models is missing; name the Hub id of the model that the Space shows")

    def metadata(self) -> SpaceCardData:
        """What the Hub reads."""
        more: dict[str, Any] = {"emoji": self.emoji, "colorFrom": self.color_from, "colorTo": self.color_to}
        more |= {"suggested_hardware": self.hardware} if self.hardware else {}
        return SpaceCardData(
            title=self.title,
            sdk=self.sdk,
            sdk_version=self.sdk_version,
            app_file=self.app_file,
            license=self.licence,
            models=list(self.models) or None,
            datasets=list(self.datasets) or None,
            tags=list(TAGS) + ["evaluate", "metric"] * (self.use == "metric"),
            **more,
        )


CARDS: dict[str, type[Card]] = {
    "grm": GRMCard,
    "meta-rm": MetaRMCard,
    "code": CodeCard,
    "trajectories": TrajectoriesCard,
    "preferences": PreferencesCard,
    "space": SpaceCard,
}
C = TypeVar("C", bound=Card)


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _check(field: Field[Any], value: Any) -> None:
    """A required field says something, and a list of texts is one."""
    said = str(field.type)
    if (value is None and "None" not in said) or (_required(field) and value in EMPTY):
        raise MissingField(f"card: {field.name} is missing; say it in card.yaml")
    if said == "str" and not isinstance(value, str):
        raise MissingField(f"card: {field.name} {value!r:.60} is not usable; give text")
    if said == "Sequence[str]" and not _is_texts(value):
        raise MissingField(f"card: {field.name} {value!r:.60} is not usable; give a list of texts")


def _is_texts(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value)


def from_mapping(kind: type[C], said: Mapping[str, Any], **found: Any) -> C:
    """A card of what its author says (`card.yaml`) and of what was found in the folder, which counts more.

    Raises:
        MissingField: a field that is missing, unknown or not usable, by name.
    """
    known = {field.name: field for field in fields(kind)}
    unknown = sorted(map(str, set(said) - set(known)))
    if unknown:
        raise MissingField(f"card: {unknown[0]} is an unknown field; known are {sorted(known)}")
    given = {**said, **found}
    missing = [name for name, field in known.items() if _required(field) and name not in given]
    if missing:
        raise MissingField(f"card: {', '.join(missing)} missing; say it in card.yaml")
    return kind(**given)
