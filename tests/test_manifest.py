"""Whatever bytes a manifest is made of, it is one of ours or one line says what is wrong."""

import json
from functools import reduce
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mimdit.errors import BundleError
from mimdit.manifest import Manifest, parse_manifest

from .crafted import crafted_manifest

SOUND: dict[str, Any] = crafted_manifest().model_dump(mode="json")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)


def _places(value: object, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in the JSON, as keys and indices from the top."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for key, child in children for place in _places(child, (*path, key))]


def _parsed(data: bytes) -> Manifest | None:
    """None where it was refused in one line; anything else that is raised comes through."""
    try:
        return parse_manifest(data)
    except BundleError as error:
        if not str(error).isprintable():
            raise
        return None


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_value_anywhere_is_taken_or_refused_in_one_line(data: st.DataObject) -> None:
    changed = json.loads(json.dumps(SOUND))
    *way, last = data.draw(st.sampled_from(_places(changed)))
    reduce(lambda part, key: part[key], way, changed)[last] = data.draw(JSON)
    manifest = _parsed(json.dumps(changed).encode())
    if manifest is not None:  # what was taken means the same when it is written again
        assert parse_manifest(manifest.model_dump_json().encode()) == manifest


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_refused_in_one_line(data: bytes) -> None:
    assert _parsed(data) is None


@pytest.mark.parametrize("key", sorted(SOUND))
def test_left_out_keys_are_refused_or_have_a_default(key: str) -> None:
    rest = {name: value for name, value in SOUND.items() if name != key}
    manifest = _parsed(json.dumps(rest).encode())
    assert manifest is None or not Manifest.model_fields[key].is_required()
