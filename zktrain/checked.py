"""The boundary of the public functions: arguments are what the signatures say, and what goes wrong
is an error of zktrain.

The signatures are the only description: a value is compared with the annotation of its parameter,
which is made of a few names (``str | Path | None``). Nothing is imported for that.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from .errors import InputError

Paths = Sequence[str | Path]
"""A list or a tuple of files."""

_P = ParamSpec("_P")
_R = TypeVar("_R")

MOST_PATH_BYTES = 4095
_KINDS: dict[str, Callable[[object], bool]] = {
    "None": lambda value: value is None,
    "str": lambda value: isinstance(value, str),
    "Path": lambda value: isinstance(value, Path),
    "Paths": lambda value: (
        isinstance(value, list | tuple) and all(isinstance(one, str | Path) for one in value)
    ),
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "Progress": callable,
    "Planned": callable,
}
_WORDS = {
    "None": "None",
    "str": "a str",
    "Path": "a Path",
    "Paths": "a list of paths",
    "bool": "True or False",
    "int": "an int",
    "Progress": "a function (stage, done, total, **figures)",
    "Planned": "a function (plan)",
}


def checked(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """``function``, which raises ``TypeError`` with the argument's name for a value of another type
    than its annotation says, and ``InputError`` for text that can be no path and for what the
    system refuses."""
    signature = inspect.signature(function)

    @wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        bound = signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            _check(function.__name__, name, str(signature.parameters[name].annotation), value)
        try:
            return function(*args, **kwargs)
        except (OSError, MemoryError) as error:
            raise InputError(
                f"{function.__name__} was stopped by the system: {_said(error)}"
            ) from error

    return call


def _check(function: str, name: str, annotation: str, value: Any) -> None:
    kinds = annotation.split(" | ")
    if not any(_is(kind, value) for kind in kinds):
        wanted = " or ".join(_WORDS.get(kind, f"a {kind}") for kind in kinds)
        raise TypeError(
            f"{function}: {name} must be {wanted}, not {type(value).__name__}"
            + (f"; give {name} = the path of a file" if "Path" in kinds else "")
        )
    if "Path" in kinds and value is not None:
        _check_path(function, name, str(value))
    if "Paths" in kinds:
        for one in value:
            _check_path(function, name, str(one))


def _is(kind: str, value: Any) -> bool:
    told = _KINDS.get(kind)
    if told is not None:
        return told(value)
    return any(base.__name__ == kind for base in type(value).__mro__)


def _check_path(function: str, name: str, text: str) -> None:
    """Raise ``InputError`` for text that no file can be called."""
    try:
        encoded = os.fsencode(text)
    except UnicodeError:
        problem = "has characters that no name of a file has"
    else:
        if not encoded:
            problem = "is empty"
        elif b"\0" in encoded:
            problem = "has a null byte"
        elif len(encoded) > MOST_PATH_BYTES:
            problem = f"has {len(encoded):,} bytes, more than any path"
        else:
            return
    raise InputError(f"{function}: {name} {problem}; give the path of a file")


def _said(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    strerror = getattr(error, "strerror", None)
    named = getattr(error, "filename", None)
    return f"{strerror or error}" + (f" ({named!r:.200})" if named is not None else "")
