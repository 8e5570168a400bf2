"""Rules of the house that no linter knows: sizes, names, and what tests may not do."""

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BANNED_MODULES = {"utils", "helpers", "common", "misc", "base", "core", "manager", "queue", "types", "http", "comfy"}


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from (ROOT / folder).rglob("*.py")


@pytest.mark.parametrize(("folder", "limit"), [("api", 400), ("bench", 400), ("tests", 500)])
def test_files_stay_small(folder: str, limit: int) -> None:
    long = {str(path): lines for path in sources(folder) if (lines := len(path.read_text().splitlines())) > limit}
    assert long == {}


def test_no_module_is_named_after_nothing() -> None:
    assert [path for path in sources("api") if path.stem in BANNED_MODULES] == []


def test_every_module_says_what_it_is_for() -> None:
    silent = [path for path in sources("api") if not ast.get_docstring(parsed(path))]
    assert silent == []


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def broad_handlers(path: Path) -> Iterator[ast.ExceptHandler]:
    """Handlers of everything that do not raise it again."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ExceptHandler):
            name = getattr(node.type, "id", None)
            reraised = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            if (node.type is None or name in {"Exception", "BaseException"}) and not reraised:
                yield node


def test_broad_excepts_are_few_and_marked() -> None:
    # The stand-in imitates a server that catches whatever a node raises.
    ours = [path for path in sources("api") if "standin" not in path.parts]
    found = [f"{path.name}:{handler.lineno}" for path in ours for handler in broad_handlers(path)]
    unmarked = [
        f"{path.name}:{handler.lineno}"
        for path in sources("api")
        for handler in broad_handlers(path)
        if "#" not in path.read_text().splitlines()[handler.lineno - 1]
    ]
    # The job's border in the handler and in the dispatcher, and that of the threads without which none would run.
    assert len(found) <= 3, found
    assert unmarked == []


def test_tests_patch_nothing_of_ours_and_never_sleep() -> None:
    this = Path(__file__).resolve()
    words = re.compile(r"mock\.patch|monkeypatch\.setattr|mocker\.|time\.sleep\(")
    found = [path for path in sources("tests") if path != this and words.search(path.read_text())]
    assert found == []


def test_only_settings_and_the_sdk_adapter_touch_the_environment() -> None:
    readers = {path.name for path in sources("api") if re.search(r"os\.(environ|getenv)", path.read_text())}
    assert readers <= {"serverless.py", "settings.py", "client_cli.py"}


def test_python_files_are_the_only_code_beside_the_fixed_top_level() -> None:
    assert {path.name for path in ROOT.glob("*.py")} == {"handler.py"}
