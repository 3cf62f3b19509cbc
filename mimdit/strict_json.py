"""JSON from elsewhere: read strictly, and what does not fit its schema told in one line."""

import json

from pydantic import ValidationError

__all__ = ["describe", "printable", "strict_json"]


def strict_json(text: bytes) -> object:
    """What a UTF-8 text of JSON holds. ValueError for a key that comes twice, NaN and infinity, and what is no JSON.

    RecursionError for what is nested too deeply.
    """
    return json.loads(text.decode(), object_pairs_hook=_unique_keys, parse_constant=_no_constant)


def describe(error: ValidationError) -> str:
    """The first thing that does not fit the schema, in one line: where, what was expected, what was found."""
    first = error.errors(include_url=False)[0]
    if not first["loc"]:
        return printable(first["msg"])
    return printable(f"{'.'.join(map(str, first['loc']))}: {first['msg']}, found {first['input']!r:.60}")


def printable(message: str) -> str:
    """One line of at most 400 characters: what a hostile file says must not drive the terminal."""
    return "".join(character if character.isprintable() else "?" for character in message)[:400]


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"expected each key once, found {twice!r:.60} twice in one object")
    return dict(pairs)


def _no_constant(name: str) -> object:
    raise ValueError(f"expected finite numbers, found {name}")
