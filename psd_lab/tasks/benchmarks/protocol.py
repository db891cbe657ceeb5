"""Evaluation protocols as data: one YAML per profile, every value with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from psd_lab import paths, yaml_reader
from psd_lab.schema import Count, Text, accept, checked
from psd_lab.tasks.benchmarks.instruct import is_instruct
from psd_lib.errors import UserError

if TYPE_CHECKING:
    from psd_lib.models import Model

Chat = Literal["never", "always", "if_instruct"]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
_VALUES = "a mapping of settings to {is: <value>, from: <one of sources>, inferred: <true or not>}"


@checked("profile", name="profile")
class Protocol:
    """How one profile runs one benchmark. Sources of the values are in `sources`, by field;
    `inferred` names the fields whose value the source does not state.

    `chat`: never, always, or if_instruct (see `instruct.is_instruct`); `turns`: exemplars are turns
    of the dialogue (else part of the one prompt); `bos`: model_types whose prompt begins with the
    BOS token; `length` and `block` in tokens, block also "whole" (the length) or "native" (the
    model's own); `stops`: "template" (those of the template end a completion) or "none";
    `headline`: the extractor or code version that decides, fixed beforehand; `timeout` in seconds
    of CPU per program.
    """

    profile: Text
    template: Annotated[Text, Field(description="the name of a template")]
    exemplars: Annotated[Text | None, Field(description="the name of exemplars, or null")]
    chat: Annotated[Chat, Field(description="one of never, always, if_instruct")]
    turns: Annotated[StrictBool, Field(description="true or false")]
    bos: Annotated[tuple[Text, ...], Field(description="a list of model types")]
    length: Count
    block: Annotated[
        Count | Literal["whole", "native"],
        Field(description="a whole number of at least 1, whole or native"),
    ]
    tokens_per_step: Count
    temperature: Annotated[float, Field(strict=True, ge=0, description="a number of at least 0")]
    top_p: Annotated[Share | None, Field(description="a number between 0 and 1, or null")]
    threshold: Annotated[Share | None, Field(description="a number between 0 and 1, or null")]
    early_stop: Annotated[StrictBool, Field(description="true or false")]
    counted: Text
    eos_switches: Annotated[StrictBool, Field(description="true or false")]
    stops: Annotated[Literal["template", "none"], Field(description="one of template, none")]
    headline: Text
    timeout: Annotated[float, Field(strict=True, gt=0, description="a number of seconds above 0")]
    sources: Mapping[str, str]
    inferred: tuple[str, ...]

    def uses_chat(self, model: Model) -> bool:
        """Return whether a model's prompts go through its chat template."""
        return self.chat == "always" or (
            self.chat == "if_instruct" and is_instruct(model, self.profile)
        )

    @property
    def block_length(self) -> int | None:
        """The block length in tokens that is asked of every decoder, None for the model's own."""
        return {"whole": self.length, "native": None}.get(self.block, self.block)


SETTINGS = tuple(
    field.name for field in fields(Protocol) if field.name not in ("profile", "sources", "inferred")
)


class Value(BaseModel):
    """A setting's value and where it is from; `inferred` where the source does not say so."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    value: Any = Field(alias="is")
    source: str = Field(alias="from")
    inferred: StrictBool = False


Values = dict[str, Value]


class Variant(BaseModel):
    """What a variant changes of its profile."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    summary: Text
    common: Values = Field(default_factory=dict)
    tasks: dict[str, Values] = Field(default_factory=dict)
    refused: dict[str, Text] = Field(default_factory=dict)


@checked("profile")
class Profile:
    """A profile's file: values for all tasks and for each, and variants that change some."""

    name: Text
    summary: Text
    sources: Annotated[dict[str, Text], Field(description="a mapping of names to texts")]
    common: Annotated[Values, Field(description=_VALUES)]
    tasks: Annotated[dict[str, Values], Field(description=f"for each task {_VALUES}")]
    refused: Annotated[dict[str, Text], Field(description="a mapping of tasks to a reason")] = (
        Field(default_factory=dict)
    )
    variants: Annotated[
        dict[str, Variant],
        Field(description="a mapping of names to summary, common, tasks, refused"),
    ] = Field(default_factory=dict)

    def __post_init__(self) -> None:
        for layer in (self, *self.variants.values()):
            for values in (layer.common, *layer.tasks.values()):
                accept(values, SETTINGS, f"Profile {self.name!r}")
                for key, value in values.items():
                    if value.source not in self.sources:
                        raise UserError(
                            f"{key} of profile {self.name!r} is from {value.source!r}, which is"
                            f" not one of its sources: {', '.join(self.sources)}."
                        )

    def layers(self, variant: str) -> list[Profile | Variant]:
        """Return what decides the values, from the general to the particular."""
        return [self, self.variants[variant]] if variant else [self]


def profiles() -> list[str]:
    """List the profiles, variants as `profile:variant`."""
    found = []
    for path in paths.files(paths.DATA / "profiles", "*.yaml"):
        found += [path.stem, *(f"{path.stem}:{variant}" for variant in _profile(path).variants)]
    return found


def runs(profile: str, task: str) -> bool:
    """Return whether a profile runs a benchmark."""
    whole, *variants = _layers(profile)
    return task in whole.tasks and not any(task in layer.refused for layer in (whole, *variants))


def _layers(profile: str) -> list[Profile | Variant]:
    if profile not in profiles():
        raise UserError(f"Unknown profile {profile!r}: use one of {', '.join(profiles())}.")
    name, _, variant = profile.partition(":")
    return _profile(_file(name)).layers(variant)


def find(profile: str, task: str) -> Protocol:
    """Find how `profile` (or `profile:variant`) runs `task`.

    Raises:
        UserError: The profile is unknown, its file is wrong, or it does not run the task; the
            message has the reason that the profile gives.
    """
    layers = _layers(profile)
    if not runs(profile, task):
        why = {key: text for layer in layers for key, text in layer.refused.items()}.get(
            task, "it is not defined there"
        )
        known = [key for key in layers[0].tasks if runs(profile, key)]
        raise UserError(
            f"Profile {profile} does not run {task}: {why}; it runs {', '.join(known)}."
        )
    values: Values = {}
    for layer in layers:
        values |= layer.common | layer.tasks.get(task, {})
    return Protocol(
        profile=profile,
        **{key: one.value for key, one in values.items()},
        sources={key: layers[0].sources[one.source] for key, one in values.items()},
        inferred=tuple(key for key, one in values.items() if one.inferred),
    )


def parts(name: str) -> dict[str, Any]:
    """Read what profiles share: "templates" or "exemplars"."""
    return _read(_file(f"parts/{name}"))


def _file(name: str) -> Path:
    return paths.find(paths.DATA / "profiles", f"{name}.yaml")


@lru_cache(maxsize=32)
def _read(path: Path) -> dict[str, Any]:
    return yaml_reader.read_file(path)


@lru_cache(maxsize=32)
def _profile(path: Path) -> Profile:
    keys = [field.name for field in fields(Profile) if field.name != "name"]
    accept(values := _read(path), keys, f"Profile {path.stem!r}")
    return Profile(path.stem, **values)
