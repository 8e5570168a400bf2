"""Remote targets as settings: in variables of their own or as JSON, refused by name, never shown with their keys."""

import json
from pathlib import Path

import pytest

from api.errors import InvalidSettings
from api.settings import Settings, load_settings, table

SECRET = "key-that-nobody-shall-see"


def entry(**values: object) -> str:
    """REMOTE_TARGETS of one target called a."""
    return json.dumps({"a": {"kind": "runpod", "url": "u", "api_key": SECRET, **values}})


def loaded(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def test_there_are_none_by_default() -> None:
    assert Settings().remotes == ()
    assert Settings().overflow_target is None


def test_two_have_variables_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = loaded(
        monkeypatch,
        REMOTE_RUNPOD_URL="https://api.runpod.ai/v2/abc",
        REMOTE_RUNPOD_API_KEY=SECRET,
        REMOTE_SALAD_URL="http://salad:3000",
        REMOTE_MAX_JOBS="7",
        OVERFLOW_TARGET=" Salad ",
    )
    runpod, salad = settings.remotes
    assert (runpod.name, runpod.kind, runpod.url) == ("runpod", "runpod", "https://api.runpod.ai/v2/abc")
    assert (runpod.api_key, runpod.max_jobs) == (SECRET, 7)
    assert runpod.settings == ("REMOTE_RUNPOD_URL", "REMOTE_RUNPOD_API_KEY")
    assert (salad.name, salad.api_key, salad.max_jobs, settings.overflow_target) == ("salad", None, 7, "salad")


@pytest.mark.parametrize("as_file", [False, True])
def test_more_of_them_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_file: bool) -> None:
    given = {
        "big": {"kind": "runpod", "url": "https://big", "api_key": SECRET, "max_jobs": 2},
        "far.2": {"kind": "salad", "url": "https://far", "headers": {"X-Team": SECRET}},
    }
    text = json.dumps(given)
    if as_file:
        (tmp_path / "targets.json").write_text(text)
        text = str(tmp_path / "targets.json")
    settings = loaded(monkeypatch, REMOTE_TARGETS=text)
    big, far = settings.remotes
    assert (big.name, big.kind, big.api_key, big.max_jobs) == ("big", "runpod", SECRET, 2)
    assert (far.name, far.kind, far.max_jobs, far.headers) == ("far.2", "salad", 4, {"X-Team": SECRET})
    assert SECRET not in repr(settings.remotes) + repr(settings) + str(table(settings))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"REMOTE_TARGETS": entry(kind="vast")}, "at a.kind"),
        ({"REMOTE_TARGETS": entry(url="")}, "at a.url"),
        ({"REMOTE_TARGETS": entry(keys=1)}, "at a.keys"),
        ({"REMOTE_TARGETS": entry(max_jobs=0)}, "at a.max_jobs"),
        ({"REMOTE_TARGETS": entry()[:-1]}, "is no valid JSON"),
        ({"REMOTE_TARGETS": f"/nowhere/{SECRET}"}, "neither a JSON object nor a file"),
        ({"REMOTE_TARGETS": '{"local": {"kind": "runpod", "url": "u"}}'}, "'local' cannot be the name"),
        ({"REMOTE_TARGETS": '{"Big One": {"kind": "runpod", "url": "u"}}'}, "'Big One' cannot be the name"),
        ({"REMOTE_TARGETS": '{"salad": {"kind": "salad", "url": "u"}}', "REMOTE_SALAD_URL": "u"}, "leave one out"),
        ({"OVERFLOW_TARGET": "runpod"}, "OVERFLOW_TARGET: 'runpod' is no remote target"),
        ({"OVERFLOW_AFTER_S": "-1"}, "OVERFLOW_AFTER_S"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name_without_its_keys(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], told: str
) -> None:
    with pytest.raises(InvalidSettings) as refusal:
        loaded(monkeypatch, **values)
    assert told in refusal.value.message
    assert SECRET not in refusal.value.message + str(refusal.value.details)
