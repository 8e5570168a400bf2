"""Which of ComfyUI's formats a document is in, and the graph inside the wrappers people send it in."""

from typing import Any

from ..errors import Detail, InvalidWorkflow, WorkflowInUiFormat
from ..jobs.quoting import kind_of

HOW_TO_EXPORT = (
    "Export it in API format: in ComfyUI, Workflow → Export (API); in older versions switch on dev mode in the "
    "settings, then Save (API Format)."
)
# Body of POST /prompt, the frontend's graphToPrompt(), metadata of a picture.
_WRAPPERS = ("prompt", "output", "workflow")
_MAX_WRAPPERS = 3


def graph_in(document: object) -> dict[Any, Any]:
    """The graph without its wrapper; whether its nodes are sound is not looked at.

    Raises WorkflowInUiFormat for the editor's own format, InvalidWorkflow for what is no graph at all.
    """
    for _ in range(_MAX_WRAPPERS):
        inner = _unwrapped(document)
        if inner is None:
            break
        document = inner
    if not isinstance(document, dict):
        raise refusal(f"The workflow must be an object of nodes, not {kind_of(document)}. {HOW_TO_EXPORT}")
    if isinstance(document.get("nodes"), list):
        message = f"The workflow is in the editor's format (nodes and links), which cannot be run. {HOW_TO_EXPORT}"
        raise WorkflowInUiFormat(message, [Detail(field="workflow", code="ui_format", message=message)])
    if isinstance(document.get("class_type"), str):
        raise refusal('The workflow is a single node: put it under an id, {"1": {"class_type": …, "inputs": …}}.')
    if not document:
        raise refusal(f"The workflow is empty. {HOW_TO_EXPORT}")
    return document


def refusal(message: str, code: str = "not_a_workflow") -> InvalidWorkflow:
    """An InvalidWorkflow about the document as a whole."""
    return InvalidWorkflow(message, [Detail(field="workflow", code=code, message=message)])


def _unwrapped(document: object) -> Any:
    """What a wrapper holds; None when the document is none."""
    if not isinstance(document, dict) or _is_graph(document) or isinstance(document.get("nodes"), list):
        return None
    return next((document[key] for key in _WRAPPERS if isinstance(document.get(key), dict)), None)


def _is_graph(document: dict[Any, Any]) -> bool:
    return any(isinstance(node, dict) and "class_type" in node for node in document.values())
