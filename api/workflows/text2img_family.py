"""The families of models that make pictures from words: how each is told, and what suits it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .text2img_params import FamilyName

# Of each tensor in a file, by name.
Shapes = Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True)
class Family:
    """`side` is the size in pixels it was trained with, `multiple` what a side must be a multiple of.

    `is_unet`: it has the blocks that pag and deepshrink patch. `guided`: it takes its cfg as guidance (Flux dev).
    """

    name: FamilyName
    title: str
    side: int
    multiple: int
    steps: int
    cfg: float
    sampler: str
    scheduler: str
    latent: str
    is_unet: bool = False
    guided: bool = False


_UNET_LATENT, _DIT_LATENT = "EmptyLatentImage", "EmptySD3LatentImage"
FAMILIES: Mapping[str, Family] = {
    "sd15": Family(
        *("sd15", "SD1.5", 512, 8, 25, 7.0),
        *("dpmpp_2m", "karras", _UNET_LATENT),
        is_unet=True,
    ),
    "sdxl": Family(
        *("sdxl", "SDXL", 1024, 8, 25, 6.5),
        *("dpmpp_2m", "karras", _UNET_LATENT),
        is_unet=True,
    ),
    "sd3": Family(*("sd3", "SD3", 1024, 16, 28, 4.5), *("euler", "sgm_uniform", _DIT_LATENT)),
    "flux": Family(*("flux", "Flux", 1024, 16, 20, 3.5), *("euler", "simple", _DIT_LATENT), guided=True),
}
# Trained to need few steps and no guidance.
_DISTILLED = re.compile(r"schnell|turbo|lightning|\bhyper(\b|sd|\d)|\blcm|dmd2")
_FEW_STEPS = {"flux": 4, "sd3": 4, "sdxl": 8, "sd15": 8}

_NO_PICTURES_FROM_WORDS = re.compile(
    r"\bsvd|stable.?(audio|video|cascade|zero123)|zero123|\bltxv?\b|ltx.?video|hunyuan|\bwan\d|cosmos|mochi|ace.?step"
    r"|refiner|in.?paint|upscaler|flux.?2|flux.*\b(fill|canny|depth|redux)\b|aura.?flow|pixart|hidream|qwen|chroma|lumina|omnigen|pix2pix"
)
_NAMES: tuple[tuple[FamilyName, re.Pattern[str]], ...] = (
    ("flux", re.compile(r"flux")),
    ("sd3", re.compile(r"sd ?3(?!\d)|sd ?3[. ]?5|stable ?diffusion ?3")),
    ("sdxl", re.compile(r"(?<!x)xl(?!arge)|pony|illustrious|noob ?ai|animagine|ssd 1b|sdxl|playground")),
    ("sd15", re.compile(r"sd ?v?[12](?!\d{2})|v[12] [0145]|stable ?diffusion ?v?[12]|(?<!\d)1[. ]?5(?!\d)")),
)
# The files of these names hold no text encoders; those of others that hold them as well are called otherwise.
_BARE = re.compile(r"sd3_medium|sd3\.5_(large|medium|large_turbo)|flux1?[-_.](dev|schnell)", re.IGNORECASE)
_PREFIXES = ("model.diffusion_model.", "")
_XL_CONTEXT = 2048
_SD_CONTEXTS = (768, 1024)
_PLAIN_LATENT = 4


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What a model file is and holds. `family` is None when it is none of ours, or not known."""

    family: FamilyName | None
    has_text_encoders: bool
    has_vae: bool
    # Flux only: whether it was trained with guidance, as dev was and schnell was not.
    guided: bool


def suited(facts: ModelFacts, name: str, family: FamilyName) -> Family:
    """The family with what suits this very model."""
    found = FAMILIES[family]
    if family == "flux" and not facts.guided:
        found = replace(found, guided=False)
    if _DISTILLED.search(_plain(name)):
        found = replace(found, steps=_FEW_STEPS[family], cfg=found.cfg if found.guided else 1.0)
        if family in {"sdxl", "sd15"}:
            found = replace(found, sampler="euler", scheduler="sgm_uniform")
    return found


def by_name(name: str, *, is_checkpoint: bool) -> ModelFacts:
    """What is likely, from the file's name alone."""
    stem = name.replace("\\", "/").rpartition("/")[2].rpartition(".")[0]
    whole = is_checkpoint and not _BARE.fullmatch(stem)
    # Of Flux both the encoders and the VAE come apart, of SD3 the encoders only.
    has_vae = whole or (is_checkpoint and "flux" not in stem.lower())
    return ModelFacts(named_family(name), whole, has_vae, "schnell" not in name.lower())


def named_family(name: str) -> FamilyName | None:
    """The family a name tells of. Folders tell too, unless the file says otherwise."""
    folder, _, file = name.replace("\\", "/").rpartition("/")
    for part in (file, folder):
        plain = _plain(part)
        if is_something_else(part):
            return None
        for family, pattern in _NAMES:
            if pattern.search(plain):
                return family
    return None


def is_something_else(name: str) -> bool:
    """Whether the name is that of a model for another purpose, or of another architecture."""
    return bool(_NO_PICTURES_FROM_WORDS.search(_plain(name)))


def by_tensors(shapes: Shapes) -> ModelFacts:
    """What a file is, from what lies in it."""
    return ModelFacts(
        next((family for prefix in _PREFIXES if (family := _family(shapes, prefix))), None),
        _any(shapes, "cond_stage_model.", "conditioner.embedders.", "text_encoders."),
        _any(shapes, "first_stage_model.", "vae."),
        any(f"{prefix}guidance_in.in_layer.weight" in shapes for prefix in _PREFIXES),
    )


def _family(shapes: Shapes, prefix: str) -> FamilyName | None:
    if f"{prefix}joint_blocks.0.context_block.attn.qkv.weight" in shapes:
        return "sd3"
    if f"{prefix}double_blocks.0.img_attn.qkv.weight" in shapes:
        # HunyuanVideo and Chroma are built alike, but read the words in another way; Flux 2 has no vector_in.
        own = f"{prefix}vector_in.in_layer.weight" in shapes
        return "flux" if own and not _any(shapes, f"{prefix}txt_in.individual_token_refiner.") else None
    return _unet_family(shapes, prefix)


def _unet_family(shapes: Shapes, prefix: str) -> FamilyName | None:
    first = shapes.get(f"{prefix}input_blocks.0.0.weight", ())
    if len(first) < 2 or first[1] != _PLAIN_LATENT or _any(shapes, f"{prefix}time_stack", f"{prefix}noise_augmentor"):
        return None
    for block in ("1.1", "4.1"):
        key = shapes.get(f"{prefix}input_blocks.{block}.transformer_blocks.0.attn2.to_k.weight", ())
        if len(key) == 2:
            return "sdxl" if key[1] == _XL_CONTEXT else "sd15" if key[1] in _SD_CONTEXTS else None
    return None


def _any(shapes: Shapes, *prefixes: str) -> bool:
    return any(name.startswith(prefixes) for name in shapes)


def _plain(name: str) -> str:
    """Lower case, words apart: capitals of one word after another count as a gap."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.sub(r"[_\-\s]+", " ", apart).lower()
