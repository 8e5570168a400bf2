"""Small model-free workflows and a way to run them, for tests of api/comfyui."""

import itertools
import random
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from api.comfyui.client import ComfyClient
from api.comfyui.events import ComfyEvent
from api.comfyui.limits import RunLimits
from api.comfyui.run import RunEnd, run_prompt
from api.comfyui.stream import ComfyStream
from api.comfyui.submit import PromptBody
from api.ids import PromptId
from api.jobs.cancel import CancelToken

Workflow = dict[str, dict[str, Any]]
# Another color is another picture, which no cache knows.
_colors = itertools.count(random.randrange(1 << 20))


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def picture(*, size: int = 64, prefix: str | None = None) -> Workflow:
    """EmptyImage → SaveImage, never cached, in a folder of its own."""
    color = next(_colors)
    return {
        "1": node("EmptyImage", width=size, height=size, batch_size=1, color=color),
        "2": node("SaveImage", images=["1", 0], filename_prefix=prefix or f"test-comfyui/{color}/x"),
    }


def blurs(steps: int = 40) -> Workflow:
    """A chain that takes 0.15 s per step on a real ComfyUI."""
    return _chain(256, [("ImageBlur", {"blur_radius": 31, "sigma": 5.0})] * steps)


def inverts(steps: int = 40) -> Workflow:
    """A chain that takes as long as the stand-in's fault slow_execute says, per step."""
    return _chain(16, [("ImageInvert", {})] * steps)


def _chain(size: int, steps: list[tuple[str, dict[str, Any]]]) -> Workflow:
    chain = {"1": node("EmptyImage", width=size, height=size, batch_size=1, color=next(_colors))}
    for number, (class_type, inputs) in enumerate(steps, 1):
        chain[str(number + 1)] = node(class_type, image=[str(number), 0], **inputs)
    chain[str(len(steps) + 2)] = node("PreviewImage", images=[str(len(steps) + 1), 0])
    return chain


def new_id() -> PromptId:
    return PromptId(str(uuid.uuid4()))


@dataclass
class Run:
    """A prompt being run in a thread of its own. `events` grows meanwhile."""

    client: ComfyClient
    stream: ComfyStream
    workflow: Workflow
    limits: RunLimits = field(default_factory=RunLimits)
    options: dict[str, Any] = field(default_factory=dict)
    prompt_id: PromptId = field(default_factory=new_id)
    cancel: CancelToken = field(default_factory=CancelToken)
    events: list[ComfyEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._changed = threading.Condition()
        self._future: Future[RunEnd] = Future()
        self._future.add_done_callback(lambda _future: self._tell())
        # A daemon, so that a run which hangs fails its test and not the whole session.
        threading.Thread(target=self._run, name="test-run", daemon=True).start()

    def wait_for(self, condition: Callable[[ComfyEvent], bool], timeout_s: float = 60) -> ComfyEvent:
        """The first event that fits, once it is there."""
        with self._changed:
            self._changed.wait_for(lambda: any(map(condition, self.events)) or self._future.done(), timeout_s)
            fitting = [event for event in self.events if condition(event)]
        assert fitting, f"never came; events: {self.events}, end: {self._future}"
        return fitting[0]

    def wait_for_a(self, kind: type, timeout_s: float = 60) -> ComfyEvent:
        return self.wait_for(lambda event: isinstance(event, kind), timeout_s)

    def end(self, timeout_s: float = 60) -> RunEnd:
        """What `run_prompt` returned; raises what it raised."""
        return self._future.result(timeout_s)

    def _note(self, event: ComfyEvent) -> None:
        self.events.append(event)
        self._tell()

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            end = run_prompt(
                self.client,
                self.stream,
                PromptBody(self.workflow),
                self.prompt_id,
                emit=self._note,
                cancel=self.cancel,
                limits=self.limits,
                **self.options,
            )
        except BaseException as error:  # noqa: BLE001 (whatever it is, `end` raises it in the test)
            self._future.set_exception(error)
        else:
            self._future.set_result(end)


def run(client: ComfyClient, stream: ComfyStream, workflow: Workflow, **options: Any) -> RunEnd:
    """Run to the end. `limits` and `prompt_id` may be given; the rest goes to run_prompt."""
    known = {key: options.pop(key) for key in ("limits", "prompt_id", "cancel", "events") if key in options}
    return Run(client, stream, workflow, options=options, **known).end()
