"""What object_info declares of a node class, in the old form and in that of V3 nodes. Understands what is checked."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .findings import as_mapping

# Nodes that look for the file themselves instead of in the list; inputs that upload say so in their options.
_FILE_INPUTS: Mapping[tuple[str, str], str] = {("LoadLatent", "latent"): "latent"}
_UPLOADS: Mapping[str, str] = {
    "image_upload": "image",
    "video_upload": "video",
    "audio_upload": "audio",
    "file_upload": "file",
}


@dataclass(frozen=True, slots=True)
class DeclaredInput:
    """An input as its class declares it. `kind` is a type's name, or the list of values of an old-style combo."""

    name: str
    kind: Any
    options: Mapping[str, Any]
    required: bool
    file_kind: str | None = None

    @property
    def config(self) -> list[Any]:
        """`[type, options]`, the form ComfyUI quotes in its errors."""
        return [self.kind, self.options]

    @property
    def dynamic(self) -> bool:
        """Whether it stands for other inputs that are made up as they are needed (autogrow, dynamic combo)."""
        return isinstance(self.kind, str) and self.kind.startswith("COMFY_") and self.kind != "COMFY_MATCHTYPE_V3"

    @property
    def choices(self) -> list[Any] | None:
        """The values of a combo; None for no combo, or one whose list is not all here (remote, several at once)."""
        if self.options.get("remote") or self.options.get("multiselect") or "multi_select" in self.options:
            return None
        values = self.options.get("options") if self.kind == "COMBO" else self.kind
        if not isinstance(values, list) or "image_folder" in self.options:
            return None
        return values


@dataclass(frozen=True, slots=True)
class DeclaredNode:
    """A node class. `outputs` are type names; lists of values where a combo is given out."""

    name: str
    inputs: Mapping[str, DeclaredInput]
    outputs: tuple[Any, ...]
    is_output: bool
    custom: bool

    @classmethod
    def read(cls, name: str, entry: Any) -> "DeclaredNode":
        """From its entry in object_info; whatever is not in a known form is left out."""
        info = as_mapping(entry)
        outputs = info.get("output")
        return cls(
            name,
            {item.name: item for item in _inputs(name, as_mapping(info.get("input")))},
            tuple(outputs) if isinstance(outputs, list) else (),
            info.get("output_node") is True,
            str(info.get("python_module") or "").startswith("custom_nodes."),
        )

    @property
    def dynamic(self) -> bool:
        """Whether it may have inputs that are not declared."""
        return any(item.dynamic for item in self.inputs.values())


def types_match(received: Any, expected: Any) -> bool:
    """Whether a link may join them; yes for everything but two plain type names with nothing in common."""
    if not isinstance(received, str) or not isinstance(expected, str):
        return True
    received_types, expected_types = _names(received), _names(expected)
    open_ended = {"*", "COMBO"} | {name for name in received_types | expected_types if name.startswith("COMFY_")}
    return bool(received_types & expected_types) or bool((received_types | expected_types) & open_ended)


def _names(kind: str) -> set[str]:
    return {name.strip() for name in kind.split(",")}


def _inputs(class_type: str, sections: Mapping[str, Any]) -> Iterator[DeclaredInput]:
    for section in ("required", "optional"):
        for name, config in as_mapping(sections.get(section)).items():
            if isinstance(config, list) and config and isinstance(config[0], str | list):
                options = as_mapping(config[1]) if len(config) > 1 else {}
                file_kind = next((kind for flag, kind in _UPLOADS.items() if options.get(flag)), None)
                file_kind = _FILE_INPUTS.get((class_type, name), file_kind)
                yield DeclaredInput(name, config[0], options, section == "required", file_kind)
