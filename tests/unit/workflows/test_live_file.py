"""Files that change while the worker runs, here those of names: what is new counts, what is broken does not."""

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from api.workflows import naming
from api.workflows.live_file import LiveFile


def write(path: Path, document: Any) -> None:
    """As an operator's tool does it: whole, in the place of the old one."""
    new = path.with_suffix(".new")
    new.write_text(document if isinstance(document, str) else json.dumps(document))
    new.replace(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "names.json"


def row(standard: str, *aliases: str) -> dict[str, Any]:
    return {"workflows": [{"standard": standard, "aliases": list(aliases)}]}


def test_a_file_of_names_stands_over_the_built_in_ones_and_is_read_again(path: Path) -> None:
    write(path, row("portrait", "face"))
    names = naming.names_file(path, look_every_s=0)
    assert names.get().standard("face") == "portrait"
    assert names.get().standard("txt2img") == "text2img"
    loaded_at = names.loaded_at
    assert names.get() is names.get()
    write(path, row("portrait", "head"))
    assert names.get().standard("head") == "portrait"
    assert names.get().standard("face") == "face"
    assert loaded_at
    assert names.loaded_at
    assert names.loaded_at >= loaded_at


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ('{"workflows": [', "names.json: is not JSON: Expecting value at line 1, column 16"),
        ("[]", "must hold an object"),
        ('{"workflows": [], "workflows": []}', "workflows is there twice"),
        ({"workflows": [{"standard": "My Portrait"}]}, "workflows.0.standard: a standard name is small letters"),
        ({"workflows": [{"standard": "a"}, {"standrad": "b"}]}, "workflows.1.standard: field required"),
        ({"workflows": [{"standard": "a", "aliases": ["—"]}]}, "workflows.0.aliases.0: a name needs a letter"),
        ({"flows": []}, "flows: extra inputs are not permitted"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_a_broken_file_is_told_and_the_last_sound_one_stays(path: Path, broken: Any, told: str) -> None:
    write(path, row("portrait", "face"))
    names = naming.names_file(path, look_every_s=0)
    sound = names.get()
    write(path, broken)
    assert names.get() is sound
    assert names.problem
    assert told in names.problem
    assert "; ".join(naming.check(path)) == names.problem.removeprefix("names.json: ")
    write(path, row("portrait", "head"))
    assert names.get().standard("head") == "portrait"
    assert names.problem is None


def test_a_file_that_is_not_there_is_told_until_it_is(path: Path) -> None:
    names = naming.names_file(path, look_every_s=0)
    assert names.get() is naming.builtin()
    assert names.problem == "names.json: cannot be read: No such file or directory"
    write(path, row("portrait", "face"))
    assert names.get().standard("face") == "portrait"
    path.unlink()
    assert names.get().standard("face") == "portrait"
    assert names.problem


def test_without_a_file_there_is_nothing_to_be_told() -> None:
    names = naming.names_file(None)
    assert names.get() is naming.builtin()
    assert names.problem is None


def test_problems_within_a_sound_file_are_found_by_a_check(path: Path) -> None:
    write(path, {"workflows": [{"standard": "a", "aliases": "c"}, {"standard": "b", "aliases": ["c"]}]})
    [problem] = naming.check(path)
    assert "means a" in problem


def test_it_is_looked_at_no_more_often_than_told(path: Path) -> None:
    now = [0.0]
    seen: list[Mapping[str, Any]] = []
    file = LiveFile(path, lambda document: seen.append(document) or len(seen), 0, look_every_s=5, clock=lambda: now[0])
    write(path, {"a": 1})
    assert file.get() == 1
    write(path, {"a": 2, "b": 3})
    assert file.get() == 1
    now[0] = 5.0
    assert file.get() == 2
    os.utime(path, ns=(1, 1))
    now[0] = 10.0
    assert file.get() == 3


def test_who_asks_while_another_thread_reads_gets_the_value_of_before(path: Path) -> None:
    reading, go_on = threading.Event(), threading.Event()

    def read(document: Mapping[str, Any]) -> int:
        if document["a"] == 2:
            reading.set()
            assert go_on.wait(10)
        return int(document["a"])

    write(path, {"a": 1})
    file = LiveFile(path, read, 0, look_every_s=0)
    assert file.get() == 1
    write(path, {"a": 2})
    thread = threading.Thread(target=file.get)
    thread.start()
    assert reading.wait(10)
    assert file.get() == 1
    go_on.set()
    thread.join()
    assert file.get() == 2
