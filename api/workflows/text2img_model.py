"""Which model makes a picture from words: found among those a ComfyUI offers, with what has to be loaded beside it."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import Detail, InvalidInput
from ..jobs.quoting import quote
from .text2img_family import (
    FAMILIES,
    Family,
    ModelFacts,
    Shapes,
    by_name,
    by_tensors,
    is_something_else,
    named_family,
    suited,
)
from .text2img_offers import Offers, find, unknown
from .text2img_params import FamilyName, Text2ImgParams

# The tensors of a model file, by ComfyUI's folder (checkpoints, diffusion_models) and its name; None when unknown.
ShapesOf = Callable[[str, str], Shapes | None]
_CHECKPOINTS, _DIFFUSION_MODELS = "checkpoints", "diffusion_models"
_LOADERS: Mapping[str, tuple[str, str]] = {
    _CHECKPOINTS: ("CheckpointLoaderSimple", "ckpt_name"),
    _DIFFUSION_MODELS: ("UNETLoader", "unet_name"),
}
_ENCODERS: Mapping[str, re.Pattern[str]] = {
    "clip_l": re.compile(r"clip[-_ ]?l(?![a-z])", re.IGNORECASE),
    "clip_g": re.compile(r"clip[-_ ]?g(?![a-z])", re.IGNORECASE),
    "t5xxl": re.compile(r"t5[-_ ]?xxl|t5.*v1[-_.]1.*xxl", re.IGNORECASE),
}
_VAES: Mapping[str, re.Pattern[str]] = {
    "flux": re.compile(r"(^|[/\\])ae\.|flux", re.IGNORECASE),
    "sd3": re.compile(r"sd[-_]?3", re.IGNORECASE),
    "sdxl": re.compile(r"xl", re.IGNORECASE),
    "sd15": re.compile(r"vae-ft-|sd[-_]?v?1", re.IGNORECASE),
}
_ASSUMED: FamilyName = "sd15"
_FAMILY_HINT = f'send "family": one of {", ".join(FAMILIES)}'


@dataclass(frozen=True, slots=True)
class Loaded:
    """A loader node's class, and what it is to load."""

    loader: str
    inputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChosenModel:
    """`text_encoders` and `vae` are loaded beside it where it does not hold its own."""

    name: str
    family: Family
    loader: str
    inputs: Mapping[str, Any]
    text_encoders: Loaded | None = None
    vae: str | None = None
    warnings: tuple[Detail, ...] = field(default=())


def choose_model(params: Text2ImgParams, offers: Offers, shapes_of: ShapesOf) -> ChosenModel:
    """The model asked for, or the first that will do. Raises InvalidInput when there is none or a part of it lacks."""
    folder, name = _named(params.checkpoint, offers) if params.checkpoint else _first(params.family, offers)
    shapes = shapes_of(folder, name)
    facts = by_tensors(shapes) if shapes else by_name(name, is_checkpoint=folder == _CHECKPOINTS)
    family, warnings = _family(params, name, facts, is_certain=bool(shapes))
    parts = _Parts(name, family, offers)
    loader, key = _LOADERS[folder]
    return ChosenModel(
        name,
        suited(facts, name, family),
        loader,
        {key: name},
        None if facts.has_text_encoders else parts.text_encoders(),
        None if facts.has_vae else parts.vae(),
        warnings,
    )


def _offered(offers: Offers) -> dict[str, list[str]]:
    return {folder: offers.choices(*loader) for folder, loader in _LOADERS.items()}


def _named(asked: str, offers: Offers) -> tuple[str, str]:
    offered = _offered(offers)
    for folder, names in offered.items():
        if name := find(asked, names):
            return folder, name
    raise _refused(unknown("checkpoint", asked, [*offered[_CHECKPOINTS], *offered[_DIFFUSION_MODELS]], "checkpoint"))


def _first(family: FamilyName | None, offers: Offers) -> tuple[str, str]:
    """The first checkpoint of the family; of none in particular, the first that may make pictures from words."""
    offered = _offered(offers)
    every = [(folder, name) for folder, names in offered.items() for name in names]
    told = {name: named_family(name) for _, name in every}
    fitting = [(folder, name) for folder, name in every if told[name] and family in {None, told[name]}]
    if family is None:
        fitting += [place for place in every if place[0] == _CHECKPOINTS and not is_something_else(place[1])]
        fitting.sort(key=every.index)
    if fitting:
        return fitting[0]
    if family and len(every) == 1:
        return every[0]
    of_family = f" of the family {family}" if family else ""
    remedy = (
        f"name one as checkpoint: {', '.join(name for _, name in every[:3])}"
        if every
        else ("put one into ComfyUI's models/checkpoints, or have it fetched")
    )
    message = f"ComfyUI offers no checkpoint{of_family} to make pictures with: {remedy}."
    raise _refused(Detail(field="checkpoint", code="none_offered", message=message))


def _family(
    params: Text2ImgParams, name: str, facts: ModelFacts, *, is_certain: bool
) -> tuple[FamilyName, tuple[Detail, ...]]:
    """The family, and what is to be said about how it was found."""
    if params.family:
        return params.family, ()
    if facts.family:
        return facts.family, ()
    if is_certain or is_something_else(name):
        message = (
            f"checkpoint: {quote(name)} does not look like a model that makes pictures from words; {_FAMILY_HINT}."
        )
        raise _refused(Detail(field="checkpoint", code="unknown_family", message=message))
    text = f"its name does not tell what it is, it was taken for {FAMILIES[_ASSUMED].title}; {_FAMILY_HINT}"
    message = f"checkpoint: {quote(name)}: {text}."
    return _ASSUMED, (Detail(field="checkpoint", code="family_assumed", message=message),)


class _Parts:
    """What has to be loaded beside a model, chosen by the names it commonly has."""

    def __init__(self, name: str, family: FamilyName, offers: Offers) -> None:
        self._name = name
        self._family = family
        self._offers = offers

    def text_encoders(self) -> Loaded:
        offered = self._offers.choices("DualCLIPLoader", "clip_name1")
        if self._family == "flux":
            names = self._encoders(offered, "clip_l", "t5xxl")
            return Loaded("DualCLIPLoader", {"clip_name1": names[0], "clip_name2": names[1], "type": "flux"})
        if self._family == "sd3" and any(map(_ENCODERS["t5xxl"].search, offered)):
            names = self._encoders(offered, "clip_l", "clip_g", "t5xxl")
            return Loaded("TripleCLIPLoader", {f"clip_name{index}": name for index, name in enumerate(names, 1)})
        if self._family in {"sd3", "sdxl"}:
            names = self._encoders(offered, "clip_l", "clip_g")
            return Loaded("DualCLIPLoader", {"clip_name1": names[0], "clip_name2": names[1], "type": self._family})
        (name,) = self._encoders(offered, "clip_l")
        return Loaded("CLIPLoader", {"clip_name": name, "type": "stable_diffusion"})

    def vae(self) -> str:
        pattern, offered = _VAES[self._family], self._offers.choices("VAELoader", "vae_name")
        name = next((name for name in offered if pattern.search(name)), None)
        if name is None:
            what = "ae.safetensors" if self._family == "flux" else f"one with {self._family} in its name"
            raise self._incomplete("VAE", f"VAE for it ({what})", "vae")
        return name

    def _encoders(self, offered: Sequence[str], *wanted: str) -> list[str]:
        found = [next((name for name in offered if _ENCODERS[kind].search(name)), None) for kind in wanted]
        lacking = [kind for kind, name in zip(wanted, found, strict=True) if name is None]
        if lacking:
            files = " and ".join(f"{kind}.safetensors" for kind in lacking)
            raise self._incomplete("text encoders", f"text encoder {files} to go with it", "text_encoders")
        return [name for name in found if name is not None]

    def _incomplete(self, part: str, lacking: str, folder: str) -> InvalidInput:
        message = (
            f"checkpoint: {quote(self._name)} holds no {part} of its own, and ComfyUI offers no {lacking}: "
            f"put it into models/{folder}, or take a checkpoint that holds everything."
        )
        return _refused(Detail(field="checkpoint", code="incomplete_checkpoint", message=message))


def _refused(detail: Detail) -> InvalidInput:
    return InvalidInput(detail["message"], [detail])
