"""A step's proof on a chain: the verifier contract of its keys, and the call that hands it in.

ezkl writes the contract in Solidity, and then runs a compiler only to learn the contract's
interface, which is always

    verifyProof(bytes proof, uint256[] instances) returns (bool)

Where it finds no compiler it downloads one. It is run in a process of its own, with a home folder
of its own, where the compiler it looks for is one that knows this interface and nothing else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError, MalformedProof
from ..extras import require
from ..srs import checked
from ..training.weights import write_atomically

CONTRACT, CALL = "verifier.sol", "calldata.hex"
SELECTOR = bytes.fromhex("1e8e1e13")
"""First bytes of Keccak-256 of ``verifyProof(bytes,uint256[])``."""

MAX_CODE_BYTES = 24_576
"""What a contract's code may have [EIP-170]; compiling tells what it has."""

SCALARS = 21888242871839275222246405745257275088548364400416034343698204186575808495617
"""The field that instances are in."""

WORD = 32
_SOLC = "0.8.20"
"""The compiler that ezkl looks for."""
_SECONDS = 600

_CALL_EZKL = """
import asyncio, sys, ezkl
async def write():
    settings, vk, srs, contract, interface = sys.argv[1:]
    return await ezkl.create_evm_verifier(vk, settings, contract, interface, srs, False)
sys.exit(0 if asyncio.run(write()) else 1)
"""

_COMPILER = """#!/bin/sh
cat >/dev/null
echo '{"contracts":{"verifier.sol":{"Halo2Verifier":{"abi":[]}}}}'
"""


@dataclass(frozen=True, slots=True)
class Exported:
    """The files of one proof for a chain; ``insecure`` if anybody can prove anything to them."""

    contract: Path
    call: Path
    insecure: bool


def export(
    out: str | Path,
    *,
    settings: str | Path,
    vk: str | Path,
    srs: str | Path,
    proof: bytes,
    instances: Sequence[int],
) -> Exported:
    """Write ``out/verifier.sol``, the contract of the verifying key ``vk`` of ezkl, and
    ``out/calldata.hex``, the call by which it judges ``proof`` about ``instances``.

    The contract holds the key and ``tau H`` of the SRS, and knows nothing of other steps, of
    datasets or weight files: what the instances mean is for its caller to check. It returns true
    or reverts.

    Raises
    ------
    InputError
        ezkl is missing or fails, the SRS is unchecked, or the folder cannot be written.
    """
    require("ezkl", "exporting a contract", "ezkl")
    known = checked(srs)
    if known is None:
        raise InputError(f"the SRS {srs} is not checked; run: zktrain srs check {srs}")
    call = calldata(proof, instances)
    source = _contract(Path(settings), Path(vk), known.path)
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error.strerror}") from None
    write_atomically(folder / CONTRACT, source)
    write_atomically(folder / CALL, f"0x{call.hex()}\n".encode())
    return Exported(folder / CONTRACT, folder / CALL, known.insecure)


def calldata(proof: bytes, instances: Sequence[int]) -> bytes:
    """The call ``verifyProof(proof, instances)``, in the standard encoding of contracts.

    selector, 2 offsets, length of proof, proof padded to words, number of instances, instances;
    each number a word of 32 bytes, big endian. Raises ``MalformedProof`` for an instance that is
    not below ``r``, which the contract would refuse.
    """
    if any(not 0 <= value < SCALARS for value in instances):
        raise MalformedProof("an instance is not below r", stage="ezkl proof")
    body = _word(len(proof)) + proof + bytes(-len(proof) % WORD)
    offsets = _word(2 * WORD) + _word(2 * WORD + len(body))
    return SELECTOR + offsets + body + b"".join(map(_word, (len(instances), *instances)))


def read_proof(path: str | Path) -> tuple[bytes, tuple[int, ...]]:
    """Proof and instances of a proof file of ezkl: ``hex_proof``, and ``instances``, lists of
    elements of 32 bytes in hexadecimal digits, little endian. Raises ``InputError`` or
    ``MalformedProof``."""
    try:
        data = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"the proof {str(path)!r:.200} cannot be read: {reason}") from None
    try:
        fields: dict[str, Any] = json.loads(data)
        proof = bytes.fromhex(fields["hex_proof"].removeprefix("0x"))
        words = [bytes.fromhex(text) for column in fields["instances"] for text in column]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise MalformedProof(f"{path} is no proof file of ezkl", stage="ezkl proof") from None
    if any(len(word) != WORD for word in words):
        raise MalformedProof("an instance has not 32 bytes", stage="ezkl proof")
    return proof, tuple(int.from_bytes(word, "little") for word in words)


def _word(value: int) -> bytes:
    return value.to_bytes(WORD, "big")


def _contract(settings: Path, vk: Path, srs: Path) -> bytes:
    """The contract's source, by ezkl, without any access to the network."""
    for path in (settings, vk):
        if not path.is_file():
            raise InputError(f"{path} is no file; a contract needs settings and verifying key")
    with tempfile.TemporaryDirectory(prefix="zktrain-evm-") as name:
        home = Path(name)
        compiler = home / ".svm" / _SOLC / f"solc-{_SOLC}"
        compiler.parent.mkdir(parents=True)
        compiler.write_text(_COMPILER)
        compiler.chmod(0o700)
        source = home / CONTRACT
        given = [path.absolute() for path in (settings, vk, srs)]
        nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
        command = [
            sys.executable,
            "-P",
            "-c",
            _CALL_EZKL,
            *map(str, (*given, source, home / "abi")),
        ]
        try:
            done = subprocess.run(
                command,
                cwd=home,
                env={**os.environ, **nowhere, "HOME": name, "XDG_DATA_HOME": name},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise InputError(f"ezkl wrote no contract of {vk} within {_SECONDS} s") from None
        if done.returncode or not source.is_file():
            said = done.stderr.decode(errors="replace").strip().splitlines()
            reason = said[-1] if said else f"exit code {done.returncode}"
            raise InputError(f"ezkl cannot write the contract of {vk}: {reason:.300}")
        return source.read_bytes()
