"""What the GPUs are doing: NVML where they are in this machine, ComfyUI's own word where they are elsewhere."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import ComfyError
from .logs import get_logger

# What one ComfyUI says of its system. Raises ComfyError.
SystemStats = Callable[[], Mapping[str, Any]]

log = get_logger()


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU. `utilization_percent` (0 to 100) is known to NVML only."""

    id: str
    used_bytes: int
    total_bytes: int
    utilization_percent: float | None = None


class GpuProbe:
    """`remote` gives how to ask each ComfyUI, by its name; `is_here` says whether they run on this machine."""

    def __init__(self, remote: Callable[[], Mapping[str, SystemStats]], *, is_here: bool) -> None:
        self._remote = remote
        self._nvml = _nvml() if is_here else None

    def sample(self) -> list[Gpu]:
        """The GPUs as they are now; those that do not answer are left out."""
        if self._nvml is not None:
            return _by_nvml(self._nvml)
        return [gpu for name, ask in self._remote().items() for gpu in _by_comfyui(name, ask)]


def _nvml() -> Any:
    """NVIDIA's library, begun; None without it (`pip install nvidia-ml-py`) or without a GPU of theirs."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def _by_nvml(nvml: Any) -> list[Gpu]:
    found = []
    try:
        for index in range(nvml.nvmlDeviceGetCount()):
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            busy = nvml.nvmlDeviceGetUtilizationRates(handle).gpu
            found.append(Gpu(str(index), int(memory.used), int(memory.total), float(busy)))
    except nvml.NVMLError as error:
        log.warning("A GPU does not answer", error=str(error))
    return found


def _by_comfyui(name: str, ask: SystemStats) -> list[Gpu]:
    try:
        devices = ask().get("devices")
    except ComfyError:
        return []
    found = []
    for index, device in enumerate(devices if isinstance(devices, list) else []):
        try:
            # On a CPU it tells the machine's memory, which is no VRAM.
            if device["type"] != "cpu":
                total = int(device["vram_total"])
                found.append(Gpu(f"{name}/{device.get('index') or index}", total - int(device["vram_free"]), total))
        except (KeyError, TypeError, ValueError):
            continue
    return found
