"""A workflow being put together node by node, and what was found wrong or changed on the way."""

from collections.abc import Mapping
from typing import Any

from ..errors import Detail, InvalidInput
from ..jobs.ports import Workflow
from ..jobs.quoting import listed
from .text2img_offers import Offers

# From a node to its output: [node id, slot].
Link = list[Any]
_SOURCES: Mapping[str, str] = {
    "DetailDaemonSamplerNode": "install the custom node ComfyUI-Detail-Daemon "
    "(https://github.com/Jonseed/ComfyUI-Detail-Daemon)"
}


class Draft:
    """Nodes are numbered in the order they are put in. `purpose` is what the node of no particular field is for."""

    def __init__(self, offers: Offers, purpose: str) -> None:
        self.warnings: list[Detail] = []
        self.faults: list[Detail] = []
        self._offers = offers
        self._purpose = purpose
        self._nodes: dict[str, dict[str, Any]] = {}

    def add(self, class_type: str, field: str = "", /, **inputs: Any) -> Link:
        """One more node, which `field` asks for; a link to its first output. What is not given has its default."""
        if class_type not in self._offers:
            self._note_absent(class_type, field)
        node_id = str(len(self._nodes) + 1)
        self._nodes[node_id] = {"class_type": class_type, "inputs": {**self._offers.defaults(class_type), **inputs}}
        return [node_id, 0]

    def fault(self, field: str, code: str, text: str) -> None:
        """The field cannot be served."""
        self.faults.append(Detail(field=field, code=code, message=f"{field} {text}."))

    def warn(self, field: str, code: str, text: str) -> None:
        """The field was not taken as it is."""
        self.warnings.append(Detail(field=field, code=code, message=f"{field} {text}."))

    def finished(self) -> Workflow:
        """The workflow. Raises InvalidInput with all faults."""
        if self.faults:
            raise InvalidInput(listed([fault["message"] for fault in self.faults]), self.faults)
        return self._nodes

    def _note_absent(self, class_type: str, field: str) -> None:
        if any(fault.get("class_type") == class_type for fault in self.faults):
            return
        remedy = _SOURCES.get(class_type, "update ComfyUI, it is one of its own")
        leave = f", or leave {field} out" if field else ""
        text = f"{field or self._purpose} needs the node {class_type}, which ComfyUI does not have: {remedy}{leave}."
        about = {"field": field} if field else {}
        self.faults.append(Detail(code="node_missing", class_type=class_type, message=text, **about))  # type: ignore[typeddict-item]
