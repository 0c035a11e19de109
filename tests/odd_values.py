"""JSON values with something odd in one place."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

ODD: tuple[Any, ...] = (None, True, 0, -1, 1.5, 10**19, "", "x", [], [[]], {}, {"kind": []})


def text(value: Any) -> bytes:
    """As canonical texts are written."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a JSON value."""
    yield at
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from paths(value[key], (*at, key))


def replaced(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    """The value with another one in this place."""
    if not at:
        return new
    out = dict(value) if isinstance(value, dict) else list(value)
    out[at[0]] = replaced(value[at[0]], at[1:], new)
    return out


def odd_texts(value: Any) -> Iterator[bytes]:
    """Every place with every odd value that is not there already."""
    for at in paths(value):
        here = value
        for key in at:
            here = here[key]
        for odd in ODD:
            if type(odd) is not type(here) or odd != here:
                yield text(replaced(value, at, odd))
