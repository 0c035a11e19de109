"""Calls of the contracts that ezkl writes, in the standard encoding: a selector, the places of the
arguments, and the arguments, in words of 32 bytes, big endian."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import MalformedProof
from ..files import read_bytes
from .srs.curve import R

WORD = 32
_MAX_BYTES = 1 << 24
_STAGE = "ezkl proof"

# The first bytes of Keccak-256 of each name with its types.
_VERIFY = bytes.fromhex("1e8e1e13")  # verifyProof(bytes,uint256[])
_VERIFY_WITH_KEY = bytes.fromhex("3409fc9f")  # verifyProof(bytes,uint256[],bytes32[])
_REGISTER = bytes.fromhex("dc8b4094")  # registerVka(bytes32[])


def verify_call(
    proof: bytes, instances: Sequence[int], key: Sequence[bytes] | None = None
) -> bytes:
    """``verifyProof(proof, instances)``, or with the ``key`` for a contract that holds none.

    Raises ``MalformedProof`` for an instance that is not below ``r``: contracts refuse it.
    """
    if any(not 0 <= value < R for value in instances):
        raise MalformedProof("an instance is not below r", stage=_STAGE)
    arguments = [_bytes(proof), _words([_word(value) for value in instances])]
    if key is None:
        return _VERIFY + _placed(arguments)
    return _VERIFY_WITH_KEY + _placed([*arguments, _words(key)])


def register_call(key: Sequence[bytes]) -> bytes:
    """``registerVka(key)``."""
    return _REGISTER + _placed([_words(key)])


def read_proof(path: str | Path) -> tuple[bytes, tuple[int, ...]]:
    """Proof and instances of a proof file of ezkl: ``hex_proof``, and ``instances``, lists of
    elements of 32 bytes in hexadecimal digits, little endian. Raises ``InputError`` or
    ``MalformedProof``."""
    data = read_bytes(path, "proof", _MAX_BYTES)
    try:
        fields: dict[str, Any] = json.loads(data)
        proof = bytes.fromhex(fields["hex_proof"].removeprefix("0x"))
        words = [bytes.fromhex(text) for column in fields["instances"] for text in column]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise MalformedProof(f"{path} is no proof file of ezkl", stage=_STAGE) from None
    if any(len(word) != WORD for word in words):
        raise MalformedProof("an instance has not 32 bytes", stage=_STAGE)
    return proof, tuple(int.from_bytes(word, "little") for word in words)


def _word(value: int) -> bytes:
    return value.to_bytes(WORD, "big")


def _bytes(data: bytes) -> bytes:
    """An argument of the type ``bytes``."""
    return _word(len(data)) + data + bytes(-len(data) % WORD)


def _words(words: Sequence[bytes]) -> bytes:
    """An argument that is an array of words."""
    return _word(len(words)) + b"".join(words)


def _placed(arguments: Sequence[bytes]) -> bytes:
    """Where each argument begins, counted from here, and the arguments."""
    at = WORD * len(arguments)
    places = []
    for argument in arguments:
        places.append(_word(at))
        at += len(argument)
    return b"".join((*places, *arguments))
