"""What a text-to-image request says, checked by itself: of what a ComfyUI offers it knows nothing."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_before_validator_function

from ..jobs.request_fields import Fields, Sound

FamilyName = Literal["sd15", "sdxl", "sd3", "flux"]
_MAX_LORAS = 32
# Of ComfyUI's own LoraLoader.
_MAX_WEIGHT = 100.0
_SPELLINGS = {"sd1": "sd15", "xl": "sdxl", "sd35": "sd3", "flux1": "flux"}


def _caption(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("empty", "is empty: say what the picture shows")
    return value


def _no_flag(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("wrong_type", "must be a number, not true or false")
    return value


def _weights(value: Any) -> Any:
    """Of a list or an object, whose pydantic messages would be two in one."""
    numbers = list(value.values()) if isinstance(value, dict) else value
    is_sound = isinstance(numbers, list) and all(
        isinstance(each, int | float) and not isinstance(each, bool) and abs(each) <= _MAX_WEIGHT for each in numbers
    )
    if not is_sound:
        reason = f"must be numbers from -{_MAX_WEIGHT:g} to {_MAX_WEIGHT:g}: a list, or an object by the names in loras"
        raise PydanticCustomError("out_of_range", "{reason}", {"reason": reason})
    return value


def _family(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    plain = re.sub(r"[\s._-]", "", value.lower()).replace("stablediffusion", "sd")
    return _SPELLINGS.get(plain, plain)


@dataclass(frozen=True)
class _Switch:
    """True, false, or a number within the bounds; 0 is false."""

    least: float
    most: float
    whole: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """pydantic's."""
        return no_info_before_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """pydantic's."""
        number = {"type": "integer" if self.whole else "number", "minimum": self.least, "maximum": self.most}
        return {"anyOf": [{"type": "boolean"}, number]}

    def _checked(self, value: Any) -> Any:
        if isinstance(value, bool) or value == 0:
            return bool(value)
        if isinstance(value, int if self.whole else int | float) and self.least <= value <= self.most:
            return value
        what = "a whole number" if self.whole else "a number"
        reason = f"must be true, false or {what} from {self.least:g} to {self.most:g}"
        raise PydanticCustomError("out_of_range", "{reason}", {"reason": reason})


Whole = BeforeValidator(_no_flag)
Side = Annotated[int, Field(ge=64, le=4096), Whole]


class Text2ImgParams(Fields):
    """A picture to be made from words. What is left out is chosen to suit the checkpoint's family.

    Sides are in pixels. The switches take true, or a number for what they are about: pag its scale, deepshrink the
    factor by which it shrinks, detail_daemon its amount, split_sigmas the step at which the second half begins.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "caption": "a lighthouse at dusk, oil on canvas",
                "negative": "blurry",
                "width": 1024,
                "height": 768,
                "steps": 28,
                "cfg": 6.5,
                "seed": 42,
                "checkpoint": "sd_xl_base_1.0.safetensors",
                "loras": ["oil-paint.safetensors"],
                "lora_weights": [0.8],
                "pag": True,
            }
        }
    )
    caption: Annotated[Sound, AfterValidator(_caption)] = Field(
        description="What the picture shows", json_schema_extra={"minLength": 1, "pattern": r"\S"}
    )
    negative: Sound = Field(
        "",
        validation_alias=AliasChoices("negative", "negative_prompt"),
        description="What it must not show; without effect on Flux",
    )
    width: Side | None = Field(None, description="Rounded to a multiple of 8, for SD3 and Flux of 16")
    height: Side | None = Field(None, description="The same; left out, what suits the family")
    steps: Annotated[int, Field(ge=1, le=150), Whole] | None = Field(
        None, description="How often it samples; left out, what suits the family"
    )
    cfg: Annotated[float, Field(ge=0.1, le=20, allow_inf_nan=False), Whole] | None = Field(
        None, description="How closely it follows the words; for Flux, its guidance"
    )
    seed: Annotated[int, Field(ge=0, le=2**64 - 1), Whole] | None = Field(None, description="Left out, a random one")
    sampler: Sound | None = Field(
        None, validation_alias=AliasChoices("sampler", "sampler_name"), description="One of ComfyUI's"
    )
    scheduler: Sound | None = Field(None, description="One of ComfyUI's")
    batch_size: Annotated[int, Field(ge=1, le=64), Whole] = Field(
        1, validation_alias=AliasChoices("batch_size", "batch"), description="How many pictures"
    )
    checkpoint: Sound | None = Field(
        None, description="A checkpoint or diffusion model that ComfyUI offers; left out, the first one"
    )
    family: Annotated[FamilyName, BeforeValidator(_family)] | None = Field(
        None, description="What the checkpoint is; left out, its file tells or else its name"
    )
    loras: list[Sound] = Field(default=[], max_length=_MAX_LORAS, description="LoRAs that ComfyUI offers, by name")
    lora_weights: Annotated[list[float] | dict[str, float], BeforeValidator(_weights)] = Field(
        default=[], description="One for each of loras in their order, or by name; those left out are 1"
    )
    pag: Annotated[bool | float, _Switch(0.01, 100)] = Field(False, description="Perturbed attention guidance")
    deepshrink: Annotated[bool | float, _Switch(1.01, 9)] = Field(
        False, description="Kohya's deep shrink, for sizes beyond those the model was trained with"
    )
    detail_daemon: Annotated[bool | float, _Switch(-5, 5)] = Field(
        False, description="More detail; with split_sigmas in the second part only"
    )
    split_sigmas: Annotated[bool | int, _Switch(1, 149, whole=True)] = Field(False, description="Sample in two parts")
