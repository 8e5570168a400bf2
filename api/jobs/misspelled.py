"""Keys of a job that are no fields but look like one: unknown keys are ignored, and a slip of the pen would be too."""

import difflib
from collections.abc import Mapping
from typing import Any

from pydantic import AliasChoices, BaseModel

from ..errors import Detail
from .request_fields import EnvelopeFields, InputFields, S3Fields

# Above 0.857, at which prompt_id would be taken for prompt; "overide" for overrides has 0.875.
_LIKENESS = 0.86
_MAX_KEYS = 100
_MAX_LENGTH = 40


def misspelled(job: Mapping[Any, Any], raw: Mapping[Any, Any]) -> tuple[Detail, ...]:
    """A finding for each key of the job, its input and their buckets that is nearly a field's name."""
    return (
        *_of(job, EnvelopeFields, "", ("input",)),
        *_of(job.get("s3Config"), S3Fields, "s3Config."),
        *_of(raw, InputFields, ""),
        *_of(raw.get("s3"), S3Fields, "s3."),
    )


def _of(given: Any, model: type[BaseModel], place: str, others: tuple[str, ...] = ()) -> list[Detail]:
    if not isinstance(given, Mapping):
        return []
    names = {*names_of(model), *others}
    unknown = [key for key in given if isinstance(key, str) and key not in names and len(key) <= _MAX_LENGTH]
    plain = {_plain(name): name for name in names}
    found = []
    for key in unknown[:_MAX_KEYS]:
        for near in difflib.get_close_matches(_plain(key), plain, 1, _LIKENESS):
            message = f"{place}{key} is not a field of a job: did you mean {plain[near]}?"
            found.append(Detail(field=f"{place}{key}", code="unknown_field", message=message, nearest=[plain[near]]))
    return found


def names_of(model: type[BaseModel]) -> list[str]:
    """How callers may spell the model's fields."""
    names: list[str] = []
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        if isinstance(alias, AliasChoices):
            names += [choice for choice in alias.choices if isinstance(choice, str)]
        else:
            names.append(alias if isinstance(alias, str) else name)
    return names


def _plain(key: str) -> str:
    return key.replace("_", "").replace("-", "").lower()
