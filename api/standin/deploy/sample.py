"""The account every stand-in starts with: what a small studio might have there, its odd names and dead machine too."""

from typing import Any

from .account import Account, Row, Workflow, input_type, machine

_PROMPT = input_type("string", "Text", "prompt")
_SEED = input_type("integer", "NumberInt", "seed", 1, min_value=0, max_value=2**32)
_IMAGE = input_type("string", "Image", "image")


def _external(class_type: str, name: str, default: Any = None) -> Row:
    return {"class_type": f"ComfyUIDeployExternal{class_type}", "inputs": {"input_id": name, "default_value": default}}


def _graph(*made: tuple[str, Row]) -> dict[str, Any]:
    """External inputs and a saved picture; the picture's node is one any ComfyUI has."""
    return {
        **dict(made),
        "8": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 3368601}},
        "9": {"class_type": "ComfyDeployOutputImage", "inputs": {"images": ["8", 0], "filename_prefix": "out"}},
    }


def _sized() -> dict[str, Any]:
    graph = _graph(
        ("1", _external("Text", "prompt", "")),
        ("2", _external("NumberInt", "seed", 1)),
        ("3", _external("NumberInt", "width", 64)),
        ("4", _external("NumberInt", "height", 64)),
    )
    graph["8"]["inputs"] |= {"width": ["3", 0], "height": ["4", 0]}
    return graph


def _inverted() -> dict[str, Any]:
    graph = _graph(("1", _external("Text", "prompt", "")), ("2", _external("Image", "image")))
    graph["8"] = {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}}
    return graph


def sample_account() -> Account:
    """Three serverless machines, one of them broken, and one of the user's own; four workflows, five deployments."""
    text = Workflow(
        "text2img",
        "A picture of what the prompt says",
        "gpu-a",
        (
            _PROMPT,
            _SEED,
            input_type("integer", "NumberInt", "width", 64, min_value=16, max_value=2048),
            input_type("integer", "NumberInt", "height", 64, min_value=16, max_value=2048),
            input_type("float", "Number", "cfg", 7.0, min_value=0, max_value=30),
            input_type("boolean", "Boolean", "upscale", False),
            input_type("enum", "Enum", "sampler", "euler", enum_options=["euler", "dpmpp_2m"]),
        ),
        _sized(),
    )
    inpaint = Workflow("Inpaint SDXL (v2)", None, "gpu-a", (_PROMPT, _IMAGE, _SEED), _inverted())
    upscale = Workflow("4x Upscale", "Four times as large", "gpu-b", (_IMAGE,), _inverted())
    batch = Workflow(
        "portrait_batch",
        None,
        "gpu-broken",
        (_PROMPT, input_type("array", "TextAny", "styles", ["plain"])),
        _graph(("1", _external("Text", "prompt", ""))),
    )
    draft = Workflow("Untitled Workflow", None, "gpu-a", (), _graph())
    account = Account(
        machines=[
            machine("gpu-a"),
            machine("gpu-b", gpu="A10G"),
            machine("gpu-broken", status="error", import_failed_logs="a custom node could not be imported"),
            machine("own-box", "classic", endpoint="http://127.0.0.1:1"),
        ],
        workflows=[text, inpaint, upscale, batch, draft],
    )
    account.deploy(text, "gpu-a")
    account.deploy(text, "gpu-b", "staging")
    account.deploy(inpaint, "gpu-a")
    account.deploy(upscale, "gpu-b", fluid=True)
    account.deploy(batch, "gpu-broken")
    return account
