"""What a named workflow takes: one model per kind of input, checked when its manifest is read. Reads no file."""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticKnownError

from ..jobs.json_value import encodable

# Options of a job that an input may set, beside the inputs of nodes.
JOB_OPTIONS = frozenset({"output_format", "output_quality", "metadata"})
IMAGE, VIDEO, AUDIO = "image", "video", "audio"
# By kind: the ending of the name a file is given, since a node looks for its kind by that.
ENDINGS: Mapping[str, str] = {IMAGE: "png", VIDEO: "mp4", AUDIO: "wav"}
FORMATS: Mapping[str, tuple[str, ...]] = {
    IMAGE: ("png", "jpeg", "webp", "gif", "bmp", "tiff", "avif"),
    VIDEO: ("mp4", "mov", "webm", "mkv", "avi"),
    AUDIO: ("wav", "mp3", "flac", "ogg", "m4a"),
}
_MAX_SEED = 2**64 - 1
# Browsers cannot tell larger integers apart.
_RANDOM_SEEDS = 2**53
_LONGEST_TEXT = 20_000


def _no_flag(value: Any) -> Any:
    """Refuses true and false, which pydantic takes for 1 and 0."""
    if isinstance(value, bool):
        raise PydanticKnownError("int_type")
    return value


def _text(value: str) -> str:
    if not encodable(value):
        raise PydanticKnownError("string_unicode")
    return value


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Targets = Annotated[tuple[str, ...], BeforeValidator(_several), Field(min_length=1)]


class _Input(BaseModel, ABC):
    """What all kinds have. `target` is where the value goes: "<node id or title>.<input>", or an option of the job.

    An input is required unless it has a default or says otherwise; one that is not given leaves the template as it is.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    target: Targets
    title: str = ""
    description: str = ""
    required: bool | None = None

    @property
    def is_required(self) -> bool:
        """Whether a call without it is refused."""
        return self.required if self.required is not None else self.fallback() is None

    def fallback(self) -> Any:
        """What is taken when it is not given; None leaves the template's own value."""
        return getattr(self, "default", None)

    def example(self) -> Any:
        """A value that would do, for the documentation."""
        return self.fallback()

    @abstractmethod
    def annotation(self) -> Any:
        """The type that pydantic checks a given value with."""

    def field(self, name: str) -> tuple[Any, FieldInfo]:
        """The field of a model that checks calls."""
        about: dict[str, Any] = {"alias": name, "title": self.title or None, "description": self.description or None}
        if self.is_required:
            return self.annotation(), Field(**about)
        # null counts as not given, so it needs no mention beside a default.
        kind = self.annotation() if self.fallback() is not None else self.annotation() | None
        return kind, Field(default=self.fallback(), **about)

    def settings(self, value: Any) -> dict[str, Any]:
        """{target: what is put there} for a checked value."""
        return dict.fromkeys(self.target, value)

    @model_validator(mode="after")
    def _default_fits(self) -> "_Input":
        if self.fallback() is not None:
            TypeAdapter(self.annotation()).validate_python(self.fallback())
        return self


class FileInput(_Input):
    """A file. `formats` and `max_bytes` take the place of the worker's own limits for named workflows."""

    type: Literal["image", "video", "audio"]
    formats: tuple[str, ...] | None = Field(None, min_length=1)
    max_bytes: int | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _formats_are_known(self) -> "FileInput":
        unknown = sorted(set(self.formats or ()) - set(FORMATS[self.type]))
        if unknown:
            raise ValueError(f"formats: {', '.join(unknown)} is none of {', '.join(FORMATS[self.type])}")
        return self

    def annotation(self) -> Any:
        """A source: base64, a data URI, a URL or an upload's ref."""
        return Annotated[str, Field(min_length=1), AfterValidator(_text)]


class TextInput(_Input):
    """A text."""

    type: Literal["string"]
    default: str | None = None
    min_length: int = Field(0, ge=0)
    max_length: int = Field(_LONGEST_TEXT, ge=1)

    def example(self) -> Any:
        """As for all kinds."""
        return self.default or "a cat"[: self.max_length]

    def annotation(self) -> Any:
        """A string within the limits."""
        return Annotated[str, Field(min_length=self.min_length, max_length=self.max_length), AfterValidator(_text)]


class IntegerInput(_Input):
    """A whole number."""

    type: Literal["integer"]
    default: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    multiple_of: int | None = Field(None, gt=0)

    def example(self) -> Any:
        """As for all kinds."""
        return next(each for each in (self.default, self.minimum, self.maximum, 1) if each is not None)

    def annotation(self) -> Any:
        """An int within the limits; its digits will do."""
        limits = Field(ge=self.minimum, le=self.maximum, multiple_of=self.multiple_of)
        return Annotated[int, limits, BeforeValidator(_no_flag)]


class NumberInput(_Input):
    """A number."""

    type: Literal["number"]
    default: float | None = None
    minimum: float | None = None
    maximum: float | None = None

    def example(self) -> Any:
        """As for all kinds."""
        return next(each for each in (self.default, self.minimum, self.maximum, 1.0) if each is not None)

    def annotation(self) -> Any:
        """A float within the limits; its digits will do."""
        limits = Field(ge=self.minimum, le=self.maximum, allow_inf_nan=False)
        return Annotated[float, limits, BeforeValidator(_no_flag)]


class BooleanInput(_Input):
    """Yes or no."""

    type: Literal["boolean"]
    default: bool | None = None

    def example(self) -> Any:
        """As for all kinds."""
        return self.default or False

    def annotation(self) -> Any:
        """A bool; true, false, yes, no, 1 and 0 as text will do."""
        return bool


class ChoiceInput(_Input):
    """One of `choices`: names, or names and what each puts into the target.

    What it puts may be an object of targets, when they are to get different values.
    """

    type: Literal["choice"]
    choices: tuple[str, ...] | dict[str, Any] = Field(min_length=1)
    default: str | None = None

    def example(self) -> Any:
        """As for all kinds."""
        return self.default or next(iter(self.choices))

    def annotation(self) -> Any:
        """One of the names."""
        return Literal[tuple(self.choices)]

    def settings(self, value: Any) -> dict[str, Any]:
        """As for all kinds, with what the name stands for."""
        if not isinstance(self.choices, dict):
            return super().settings(value)
        meant = self.choices[value]
        return dict(meant) if isinstance(meant, dict) else super().settings(meant)

    @model_validator(mode="after")
    def _choices_name_targets(self) -> "ChoiceInput":
        meanings = self.choices.values() if isinstance(self.choices, dict) else ()
        named = {target for meaning in meanings if isinstance(meaning, dict) for target in meaning}
        if strays := sorted(named - set(self.target)):
            raise ValueError(f"choices: {', '.join(strays)} is no target of this input")
        return self


class SeedInput(_Input):
    """A seed; one is drawn when none is given."""

    type: Literal["seed"]
    default: int | None = None
    maximum: int = Field(_MAX_SEED, gt=0, le=_MAX_SEED)

    @property
    def is_required(self) -> bool:
        """Never, unless it says so."""
        return bool(self.required)

    def annotation(self) -> Any:
        """A whole number, 0 or more."""
        return Annotated[int, Field(ge=0, le=self.maximum), BeforeValidator(_no_flag)]

    def draw(self) -> int:
        """A seed at random."""
        return secrets.randbelow(min(_RANDOM_SEEDS, self.maximum + 1))


Input = Annotated[
    FileInput | TextInput | IntegerInput | NumberInput | BooleanInput | ChoiceInput | SeedInput,
    Field(discriminator="type"),
]
