"""What the account has, by name and id: workflows, deployments and machines out of three kept lists."""

import copy
import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from ..deploy_errors import DeployNotFound
from .client import DeployClient
from .rows import Deployment, Machine, Row, Workflow
from .shelf import Kept, Shared, Shelf

LISTS = ("workflows", "deployments", "machines")
_SHOWN = 10
# A list that young is not asked for again because something is not in it.
_MOMENT_S = 2.0
_Made = TypeVar("_Made")


def account_of(base_url: str, key: str | None) -> str:
    """A name for an account that gives no key away."""
    return hashlib.sha256(f"{base_url}\0{key or ''}".encode()).hexdigest()[:16]


class Catalog:
    """Answers from what is kept, see Shelf. `standard` makes the standard name of a workflow's name."""

    def __init__(
        self,
        client: DeployClient,
        ttl_s: float,
        *,
        kept: Kept | None = None,
        shared: Shared | None = None,
        standard: Callable[[str], str] = str.casefold,
        clock: Callable[[], float] | None = None,
    ) -> None:
        fetches = (client.workflows, client.deployments, client.machines)
        options: dict[str, Any] = {"kept": kept, "shared": shared, **({"clock": clock} if clock else {})}
        quick = client.quick()
        soon = (quick.workflows, quick.deployments, quick.machines)
        self._shelves = {
            name: Shelf(name, fetch, ttl_s, quick=give_up, **options)
            for name, fetch, give_up in zip(LISTS, fetches, soon, strict=True)
        }
        # What was made of a list last: lists are the same objects until they are renewed.
        self._made: dict[str, tuple[Sequence[Row], list[Any]]] = {}
        self.standard = standard
        self._is_patient = True

    def soon(self) -> "Catalog":
        """The same for whoever has a caller waiting: it asks for seconds at most."""
        other = copy.copy(self)
        other._is_patient = False
        return other

    def workflows(self) -> list[Workflow]:
        """All workflows. Raises DeployError, as all of these, where nothing is known at all."""
        return self._all("workflows", Workflow.of)

    def deployments(self) -> list[Deployment]:
        """All deployments."""
        return self._all("deployments", Deployment.of)

    def machines(self) -> list[Machine]:
        """All machines."""
        return self._all("machines", Machine.of)

    def workflow(self, wanted: str) -> Workflow:
        """By id, name or standard name. Raises DeployNotFound with those there are, or when several are meant."""
        workflows = self.workflows()
        tests: tuple[Callable[[Workflow], bool], ...] = (
            lambda each: each.id == wanted,
            lambda each: each.name == wanted,
            lambda each: self.standard(each.name) == self.standard(wanted),
        )
        for test in tests:
            found = [each for each in workflows if test(each)]
            if len(found) == 1:
                return found[0]
            if found:
                message = f"Several workflows of ComfyUI Deploy are called {wanted!r}; give the id of one"
                raise DeployNotFound(f"{message}: {_listed(each.id for each in found)}.")
        names = _listed(sorted(each.name for each in workflows))
        raise DeployNotFound(f"ComfyUI Deploy has no workflow {wanted!r}; there are: {names}.")

    def deployment(self, deployment_id: str) -> Deployment:
        """By id. Raises DeployNotFound."""
        found = next((each for each in self.deployments() if each.id == deployment_id), None)
        if found is None:
            raise DeployNotFound(f"ComfyUI Deploy has no deployment {deployment_id!r}.")
        return found

    def deployments_of(self, workflow_id: str) -> list[Deployment]:
        """Those of one workflow."""
        return [each for each in self.deployments() if each.workflow_id == workflow_id]

    def machine(self, wanted: str) -> Machine:
        """By id or name. Raises DeployNotFound, also when several are meant."""
        return _meant(self.machines(), wanted)

    def machine_trouble(self, wanted: str) -> str | None:
        """Why a machine takes no runs, as far as is known; None when it does. Asks nobody."""
        rows = self._shelves["machines"].known()
        if rows is None:
            return None
        try:
            return _meant(self._made_of("machines", rows, Machine.of), wanted).trouble
        except DeployNotFound as error:
            return error.message.rstrip(".")

    def check(self) -> None:
        """Ask unless what is known is fresh. Raises DeployError while they are away, or do not take the key."""
        self._shelves["machines"].check()

    def look_again(self) -> bool:
        """Have lists asked for anew that are not of just now; whether there were any."""
        old = [name for name, shelf in self._shelves.items() if shelf.is_older(_MOMENT_S)]
        self.invalidate(old)
        return bool(old)

    def invalidate(self, names: Iterable[str] = LISTS) -> None:
        """Have these lists asked for anew, by all gateways."""
        for name in names:
            self._shelves[name].drop()

    def facts(self) -> dict[str, dict[str, Any]]:
        """How old each list is and how it is doing."""
        return {name: shelf.facts() for name, shelf in self._shelves.items()}

    def _all(self, name: str, make: Callable[[Row], _Made]) -> list[_Made]:
        return list(self._made_of(name, self._shelves[name].rows(patient=self._is_patient), make))

    def _made_of(self, name: str, rows: Sequence[Row], make: Callable[[Row], _Made]) -> list[_Made]:
        made = self._made.get(name)
        if made is None or made[0] is not rows:
            made = self._made[name] = (rows, [make(row) for row in rows if not row.get("deleted")])
        return made[1]


def _meant(machines: Sequence[Machine], wanted: str) -> Machine:
    found = [each for each in machines if each.id == wanted] or [each for each in machines if each.name == wanted]
    if len(found) > 1:
        message = f"Several machines of ComfyUI Deploy are called {wanted!r}; give the id of one"
        raise DeployNotFound(f"{message}: {_listed(each.id for each in found)}.")
    if not found:
        names = _listed(sorted(each.name for each in machines))
        raise DeployNotFound(f"ComfyUI Deploy has no machine {wanted!r}; there are: {names}.")
    return found[0]


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "") or "none"
