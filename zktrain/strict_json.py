"""JSON of a circuit from an untrusted source: integers, texts, flags, lists and objects, no more.

Everything here raises ``MalformedProof`` and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from .errors import MalformedProof

MAX_BYTES = 1 << 20
_MAX_DIGITS = 20

_T = TypeVar("_T")


def parse(data: bytes) -> Any:
    """The value of a text without floats and without huge integers. Of a key that is there
    twice the last value counts: whoever reads it compares bytes with the encoding."""
    if len(data) > MAX_BYTES:
        malformed(f"the text has more than {MAX_BYTES} bytes")
    try:
        return json.loads(
            data.decode("ascii"),
            parse_int=_parse_integer,
            parse_float=_parse_float,
            parse_constant=_parse_float,
        )
    except RecursionError:
        problem = "the text is nested too deeply"
    except ValueError:
        problem = "the text is not ASCII JSON"
    raise MalformedProof(problem, stage="circuit")


def _parse_integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        malformed(f"an integer has more than {_MAX_DIGITS} digits")
    return int(text)


def _parse_float(text: str) -> NoReturn:
    malformed("a number is not an integer")


def malformed(problem: str) -> NoReturn:
    """Refuse the text."""
    raise MalformedProof(problem, stage="circuit")


def keyed(value: Any, name: str, keys: tuple[str, ...]) -> dict[str, Any]:
    """An object with exactly these keys."""
    if not isinstance(value, dict) or set(value) != set(keys):
        malformed(f"{name} is not an object with exactly the keys {', '.join(sorted(keys))}")
    return value


def listed(value: Any, name: str, limit: int, item: Callable[[Any], _T]) -> tuple[_T, ...]:
    """A list of at most ``limit`` entries, each read by ``item``."""
    if not isinstance(value, list) or len(value) > limit:
        malformed(f"{name} is not a list of at most {limit} entries")
    return tuple(item(entry) for entry in value)


def integer(value: Any, name: str) -> int:
    """An integer, not a flag."""
    if not isinstance(value, int) or isinstance(value, bool):
        malformed(f"{name} is not an integer")
    return value


def boolean(value: Any, name: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        malformed(f"{name} is not true or false")
    return value


def string(value: Any, name: str) -> str:
    """A text."""
    if not isinstance(value, str):
        malformed(f"{name} is not a string")
    return value
