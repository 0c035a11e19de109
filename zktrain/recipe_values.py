"""Values of a recipe's sections; a ``RecipeError`` names section, key, value and remedy."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from .errors import RecipeError


def required(table: dict[str, Any], section: str, key: str) -> Any:
    """The value of a key that must be there."""
    if key not in table:
        raise RecipeError(f"{section}.{key} is missing; add it to section [{section}]")
    return table[key]


def whole(table: dict[str, Any], section: str, key: str, low: int, high: int) -> int:
    """A whole number in a range."""
    value = required(table, section, key)
    if not is_integer(value) or not low <= value <= high:
        raise bad(section, key, value, f"must be a whole number from {low} to {high}")
    return int(value)


def boolean(table: dict[str, Any], section: str, key: str, default: bool) -> bool:
    """True or false."""
    value = table.get(key, default)
    if not isinstance(value, bool):
        raise bad(section, key, value, "must be true or false")
    return value


def share(table: dict[str, Any], section: str, key: str) -> float:
    """A number from 0 to below 1; 0 where the key is missing."""
    value = table.get(key, 0)
    number = isinstance(value, float) or is_integer(value)
    if not number or not 0 <= value < 1:
        raise bad(section, key, value, "must be a number from 0 to below 1")
    return float(value)


def choice(table: dict[str, Any], section: str, key: str, choices: tuple[str, ...]) -> str:
    """One of these texts."""
    value = required(table, section, key)
    if value not in choices:
        known = " or ".join(f'"{choice}"' for choice in choices)
        near = difflib.get_close_matches(str(value), choices, n=1)
        hint = f" (did you mean {near[0]}?)" if near and len(choices) > 1 else ""
        raise bad(section, key, value, f"must be {known}{hint}")
    return str(value)


def is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def bad(section: str, key: str, value: Any, remedy: str) -> RecipeError:
    """The error that names section, key, value and remedy."""
    return RecipeError(f"{section}.{key} = {shown(value)} {remedy}")


def unknown(key: str, name: str, what: str, known: Sequence[str]) -> RecipeError:
    """The error of a name that is none of those known."""
    near = difflib.get_close_matches(name, known, 1)
    return RecipeError(
        f"{key} names {name!r:.80}, which is no {what}; "
        + (f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(known)}")
    )


def shown(value: Any) -> str:
    """A value as an error shows it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 256:
        return "(a huge number)"
    text = str(value) if not isinstance(value, str) else f'"{value}"'
    return text if len(text) <= 80 else text[:77] + "..."
