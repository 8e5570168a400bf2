"""Whether a ComfyUI's GPU is one of a type, by the name its driver has for it."""

from ..workflows.naming_table import plain

# A label that asks for a type of GPU begins so.
PREFIX = "gpu:"


def is_of_type(gpu_type: str, device: str | None) -> bool:
    """Whether all words of the type are in the name: `RTX 4090` is `cuda:0 NVIDIA GeForce RTX 4090 : native`."""
    wanted = set(plain(gpu_type).split("-")) - {""}
    return bool(wanted) and device is not None and wanted <= set(plain(device).split("-"))
