"""Stops one prompt and makes sure of it: a single interrupt may be lost, and its 200 says nothing."""

import time
from dataclasses import dataclass

from ..errors import ComfyError
from ..ids import PromptId
from ..logs import get_logger
from .client import ComfyClient
from .events import Hint
from .history import HistoryEntry
from .lookup import Found, Place, locate
from .subscription import Subscription

_REPEAT_S = 0.5

log = get_logger()


@dataclass(frozen=True, slots=True)
class Stopped:
    """`confirmed`: ComfyUI no longer has the prompt, has finished it (`entry`), or is itself gone. Else it runs on."""

    confirmed: bool
    entry: HistoryEntry | None = None


def stop_prompt(
    client: ComfyClient, mailbox: Subscription, prompt_id: PromptId, *, grace_s: float, probe_timeout_s: float
) -> Stopped:
    """Take the prompt out of the queue or interrupt it, every half second until it is gone. Never raises.

    The interrupt flag is cleared at the start of every prompt, so one that arrives between dequeue and start is lost
    (9 of 200); a node without progress updates runs to its end first, and some never look.
    """
    gives_up_at = time.monotonic() + grace_s
    while True:
        tried = _try(client, prompt_id, probe_timeout_s)
        if isinstance(tried, Found) and tried.place in {Place.ABSENT, Place.FINISHED}:
            return Stopped(confirmed=True, entry=tried.entry)
        if time.monotonic() >= gives_up_at:
            break
        _await_hint(mailbox, _REPEAT_S)
    # The port is open as long as the process lives, and the queue dies with it.
    process_gone = isinstance(tried, ComfyError) and isinstance(tried.__cause__, ConnectionRefusedError)
    if not process_gone:
        log.warning("ComfyUI did not stop the prompt", prompt_id=prompt_id, grace_s=grace_s)
    return Stopped(confirmed=process_gone)


def _try(client: ComfyClient, prompt_id: PromptId, probe_timeout_s: float) -> Found | ComfyError:
    try:
        client.delete_queued(prompt_id)
        found = locate(client, prompt_id, probe_timeout_s)
        if found.place is Place.RUNNING:
            client.interrupt(prompt_id)
    except ComfyError as error:
        return error
    return found


def _await_hint(mailbox: Subscription, seconds: float) -> None:
    ends_at = time.monotonic() + seconds
    while (left := ends_at - time.monotonic()) > 0:
        if any(isinstance(event, Hint) for event in mailbox.take(left)):
            return
