"""What the ComfyUIs of the pool have that is of no job: prompts others have queued there, and files by name."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from ..comfyui.catalog import Catalog
from ..comfyui.client import ViewStream
from ..comfyui.lookup import Found, Place, locate
from ..errors import ComfyError, ComfyUnreachable, InstanceNotFound, JobNotFound, OutputNotFound, OutputUnavailable
from ..ids import InstanceName, PromptId
from .member import Member
from .roster import Roster

# Longer than any stall of a healthy ComfyUI; the caller waits for it.
_LOOK_S = 5.0


@dataclass(frozen=True, slots=True)
class Sighting:
    """A prompt, and the ComfyUI that has it. Nothing of its workflow leaves ComfyUI."""

    prompt_id: PromptId
    instance: InstanceName
    found: Found


class Foreign:
    """Asks over HTTP, whenever it is asked; safe to share between threads."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster

    def find(self, prompt_id: PromptId, instance: str | None = None) -> Sighting:
        """Where the prompt is; first looked for at `instance`.

        Raises JobNotFound when none of those that answer has it, ComfyUnreachable when none answers.
        """
        trouble: ComfyError | None = None
        answered = False
        for member in self._in_order(instance):
            try:
                found = locate(member.instance.client, prompt_id, _LOOK_S)
            except ComfyError as error:
                trouble = error
                continue
            answered = True
            if found.place is not Place.ABSENT:
                return Sighting(prompt_id, member.name, found)
        if trouble and not answered:
            raise trouble
        raise JobNotFound(f"There is no job {prompt_id}, and no ComfyUI that answers knows such a prompt.")

    @contextmanager
    def view(
        self,
        filename: str,
        subfolder: str,
        kind: str,
        conditions: Mapping[str, str],
        instance: str | None = None,
    ) -> Iterator[tuple[InstanceName, ViewStream]]:
        """The file being fetched from the first ComfyUI that has it; with `instance` from that one alone.

        Raises OutputNotFound when none has it; InstanceNotFound; ComfyUnreachable, ComfyProtocolError.
        """
        trouble: ComfyError | None = None
        for member in [self.member(instance)] if instance else self._healthy():
            with ExitStack() as stack:
                try:
                    view = stack.enter_context(member.instance.client.view(filename, subfolder, kind, conditions))
                except OutputUnavailable:
                    continue
                except ComfyError as error:
                    trouble = error
                    continue
                yield member.name, view
                return
        if trouble:
            raise trouble
        raise OutputNotFound(f"No job and no ComfyUI has the file {filename[:200]!r} in that folder of that type.")

    def catalog(self, instance: str | None = None) -> tuple[InstanceName, Catalog]:
        """The node definitions of a ComfyUI: of `instance`, or of the first that is well.

        Raises InstanceNotFound, ComfyUnreachable.
        """
        member = self.member(instance) if instance else self._healthy()[0]
        return member.name, member.catalog

    def member(self, name: str) -> Member:
        """The ComfyUI of that name. Raises InstanceNotFound."""
        member = self._roster.find(name)
        if member is None:
            known = ", ".join(each.name for each in self._roster.members) or "none"
            raise InstanceNotFound(f"There is no ComfyUI {name[:100]}; there are: {known}.")
        return member

    def _healthy(self) -> Sequence[Member]:
        found = [member for member in self._roster.members if member.is_healthy]
        if not found:
            raise ComfyUnreachable(self._roster.trouble() or "No ComfyUI is well enough to be asked.")
        return found

    def _in_order(self, first: str | None) -> Sequence[Member]:
        return sorted(self._healthy(), key=lambda member: member.name != first)
