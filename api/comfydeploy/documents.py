"""The catalogue and the table of names as Markdown: the same for the same account, so that it can be kept in git."""

import json
from collections.abc import Iterable, Sequence

from ..workflows.naming_table import Naming
from .address import own_host
from .rows import Deployment, InputType, Machine, Workflow

CATALOG_FILE = "WORKFLOWS_CATALOG.md"
MAPPING_FILE = "WORKFLOW_NAME_MAPPING.md"
_MADE = "Made by `python -m api deploy catalog --out DIR`; what is changed here by hand is lost. Made from "
_NONE = "–"


def workflows_catalog(
    workflows: Sequence[Workflow],
    deployments: Sequence[Deployment],
    machines: Sequence[Machine],
    naming: Naming,
    url: str,
) -> str:
    """A section for each workflow: its names, deployments, inputs and description. `url` is where they are from."""
    names = {machine.id: machine.name for machine in machines}
    lines = ["# Workflows of ComfyUI Deploy", "", _made(url), "", _overview(workflows, deployments, naming)]
    for workflow in _sorted(workflows, naming):
        own = sorted(
            (each for each in deployments if each.workflow_id == workflow.id),
            key=lambda each: (each.environment, names.get(each.machine_id, each.machine_id), each.id),
        )
        lines += ["", f"## {_cell(naming.standard(workflow.name) or workflow.id)}", ""]
        lines += [f"- Display name: {_cell(workflow.name)}", f"- Workflow: `{workflow.id}`"]
        lines += [f"- Description: {_cell(workflow.description or _NONE)}", ""]
        lines += (
            _deployments(own, names) if own else ["No deployment: it runs by its version, on a machine that is named."]
        )
    return "\n".join(lines) + "\n"


def name_mapping(workflows: Sequence[Workflow], local_names: Iterable[str], naming: Naming, url: str) -> str:
    """Every name that is known, what it is called at both ends, and its standard name."""
    local = sorted(set(local_names))
    rows = {naming.standard(name) for name in (*(each.name for each in workflows), *local)} - {""}
    lines = [
        "# Names of workflows",
        "",
        _made(url),
        "",
        "Jobs may use any of these names; inside only the standard name counts.",
        "",
    ]
    lines += _table(("API workflow name", "Local workflow name", "Standardized name", "Notes"))
    for standard in sorted(rows):
        theirs = sorted(each.name for each in workflows if naming.standard(each.name) == standard)
        ours = [name for name in local if naming.standard(name) == standard]
        lines.append(_row((_listed(theirs), _listed(ours), f"`{standard}`", _notes(standard, theirs, ours, naming))))
    nameless = sorted(each.name for each in workflows if not naming.standard(each.name))
    lines += [_row((_listed([name]), _NONE, _NONE, "Has no letter or digit: use its id")) for name in nameless]
    problems = naming.collisions([each.name for each in workflows], local)
    lines += ["", "## Collisions", ""]
    lines += sorted(f"- {_cell(problem.message)}" for problem in problems) or ["None."]
    return "\n".join(lines) + "\n"


def _made(url: str) -> str:
    is_here = bool(own_host(url))
    return f"{_MADE}{url}{', an API on loopback: that of the stand-in, or a test installation' if is_here else ''}."


def _overview(workflows: Sequence[Workflow], deployments: Sequence[Deployment], naming: Naming) -> str:
    lines = _table(("Workflow name", "Display name", "Deployment IDs", "Required inputs", "Description"))
    for workflow in _sorted(workflows, naming):
        own = [each for each in deployments if each.workflow_id == workflow.id]
        ids = "<br>".join(f"`{each}`" for each in sorted(each.id for each in own)) or _NONE
        required = sorted({each.name for one in own for each in one.inputs if each.is_required})
        cells = (f"`{naming.standard(workflow.name)}`", _cell(workflow.name), ids, _listed(required))
        lines.append(_row((*cells, _cell(workflow.description or _NONE))))
    return "\n".join(lines)


def _deployments(deployments: Sequence[Deployment], machines: dict[str, str]) -> list[str]:
    lines = _table(("Deployment", "Environment", "Machine"))
    for each in deployments:
        machine = machines.get(each.machine_id, each.machine_id)
        lines.append(_row((f"`{each.id}`", each.environment, _cell(machine))))
    shown: list[tuple[InputType, ...]] = []
    for each in deployments:
        if each.inputs not in shown:
            shown.append(each.inputs)
            title = "Inputs:" if len({repr(one.inputs) for one in deployments}) == 1 else f"Inputs of `{each.id}`:"
            lines += ["", title, "", *_inputs(each.inputs)] if each.inputs else ["", "No inputs."]
    return lines


def _inputs(inputs: Sequence[InputType]) -> list[str]:
    lines = _table(("Input", "Type", "Required", "Default", "Allowed", "Description"))
    for each in inputs:
        kind = "file (URL or image of the job)" if each.is_file else each.kind
        default = _NONE if each.default is None else f"`{_cell(json.dumps(each.default, ensure_ascii=False))}`"
        needed = "yes" if each.is_required else "no"
        lines.append(
            _row((f"`{_cell(each.name)}`", kind, needed, default, _allowed(each), _cell(each.description or _NONE)))
        )
    return lines


def _allowed(each: InputType) -> str:
    if each.options:
        return _listed([str(option) for option in each.options])
    ends = [
        f"from {_number(each.minimum)}" if each.minimum is not None else "",
        f"to {_number(each.maximum)}" if each.maximum is not None else "",
    ]
    return " ".join(filter(None, ends)) or _NONE


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else str(value)


def _notes(standard: str, theirs: Sequence[str], ours: Sequence[str], naming: Naming) -> str:
    notes = []
    found = naming.look_up((theirs or ours)[0])
    if found.entry is not None and found.entry.notes:
        notes.append(found.entry.notes.rstrip("."))
    notes.append("By the table" if found.by == "table" else "By rule")
    if not ours:
        notes.append("not a local workflow")
    if not theirs:
        notes.append("not at ComfyUI Deploy")
    if len(theirs) > 1:
        notes.append("several workflows: use their ids")
    different = [name for name in (*theirs, *ours) if name != standard]
    return _cell("; ".join(notes + ([] if different else ["the names are equal"])))


def _sorted(workflows: Sequence[Workflow], naming: Naming) -> list[Workflow]:
    return sorted(workflows, key=lambda each: (naming.standard(each.name), each.name, each.id))


def _table(heads: Sequence[str]) -> list[str]:
    return [_row(heads), _row(["---"] * len(heads))]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{_cell(name)}`" for name in names) or _NONE


def _cell(text: str) -> str:
    """On one line, and nothing in it ends the cell or opens a tag."""
    plain = " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("`", "'")
    return plain.replace("<", "&lt;").replace(">", "&gt;")
