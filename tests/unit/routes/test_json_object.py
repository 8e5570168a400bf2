"""The strict reader says what the standard one says, and less."""

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.errors import InvalidInput
from api.routes.json_object import parse_object

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=20,
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(TEXT, VALUES, max_size=5), st.booleans())
def test_every_json_object_is_read_as_it_is(value: dict[str, Any], ascii_only: bool) -> None:
    assert parse_object(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_an_object_or_refused_in_words(raw: bytes) -> None:
    try:
        assert isinstance(parse_object(raw), dict)
    except InvalidInput as error:
        assert error.message.startswith("The body ")
        assert error.details[0]["code"]


@settings(max_examples=50, deadline=None)
@given(
    st.recursive(
        st.just(math.nan), lambda inner: st.lists(inner, min_size=1) | st.dictionaries(TEXT, inner, min_size=1)
    )
)
def test_a_number_that_is_none_is_found_anywhere(value: Any) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_object(json.dumps({"here": value}).encode())
    assert caught.value.details[0]["code"] in {"not_finite", "too_deep"}
    assert caught.value.details[0]["field"].startswith("here")


def test_numbers_of_more_digits_than_any_seed_are_refused_with_their_place() -> None:
    assert parse_object(b'{"seed": %d}' % (2**256 - 1)) == {"seed": 2**256 - 1}
    with pytest.raises(InvalidInput, match=r"a\.1 is a number with more than 80 digits") as caught:
        parse_object(b'{"a": [1, -' + b"9" * 100_000 + b"]}")
    assert caught.value.details[0] | {"message": ""} == {"field": "a.1", "code": "out_of_range", "message": ""}


def test_half_of_a_pair_is_found_in_keys_and_values_and_a_whole_one_is_read() -> None:
    for content in (b'{"a": {"\\udead": 1}}', b'{"a": ["\\ud83d"]}', b'{"a": "\\\\\\ude00\\ud83d"}'):
        with pytest.raises(InvalidInput, match="half of a surrogate pair"):
            parse_object(content)
    assert parse_object(b'{"a": ["\\ud83d\\ude00"]}') == {"a": ["\U0001f600"]}


def test_a_workflow_of_a_thousand_nodes_is_read() -> None:
    node = {"class_type": "KSampler", "inputs": {f"value, {at}": ["1", at] for at in range(20)}, "_meta": {"title": ""}}
    workflow = {str(number): node for number in range(1000)}
    assert parse_object(json.dumps({"workflow": workflow}).encode()) == {"workflow": workflow}


def test_the_depth_that_is_allowed() -> None:
    def nested(levels: int) -> bytes:
        return b'{"a":' * levels + b"1" + b"}" * levels

    assert parse_object(nested(100))
    with pytest.raises(InvalidInput, match="nested deeper than 100"):
        parse_object(nested(101))
