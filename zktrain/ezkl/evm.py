"""A step's proof on a chain: a verifier contract, and the call that hands the proof in.

ezkl writes contracts of two forms, for one key and for all (docs/evm.md says what each knows):

    one per key     verifyProof(bytes proof, uint256[] instances) returns (bool)
    one for all     registerVka(bytes32[] key) returns (bytes32 digest)
                    verifyProof(bytes proof, uint256[] instances, bytes32[] key)
                        returns (bool, bytes32 digest, int256[])

It then runs a compiler, only to learn the contract's interface, and downloads one where it finds
none. Here ezkl runs in a process with a home folder of its own, where what it finds as a compiler
keeps the source that it is given, and compiles nothing. What becomes of the process after that is
of no interest: threads of ezkl may outlive Python's interpreter, and crash.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import disk, files
from ..errors import InputError
from ..extras import require
from ..progress import Progress, silent
from . import bundle as wire
from ._verify import ProofMismatch
from .calldata import WORD, register_call, verify_call
from .folders import private_folder
from .keys import stated
from .native import Native, command, surroundings
from .reference import open_srs
from .srs import checked

CONTRACT, REGISTER, VERIFY = "verifier.sol", "register.hex", "verify.hex"

MAX_CODE_BYTES = 24_576
"""What a contract's code may have [EIP-170]; compiling tells what it has."""

_SOLC = "0.8.20"
"""The compiler that ezkl looks for."""
_SECONDS = 600
_MAX_BYTES = 1 << 26

CALL_EZKL = """
import asyncio, inspect, ezkl
settings, vk, srs, shared = given
async def write():
    if shared == "shared":
        made = ezkl.create_evm_vka(vk, settings, "key", srs)
        if inspect.isawaitable(made):
            await made
    await ezkl.create_evm_verifier(vk, settings, "verifier.sol", "abi", srs, shared == "shared")
asyncio.run(write())
"""

_COMPILED: dict[str, object] = {"Halo2Verifier": {"abi": []}, "Halo2VerifierReusable": {"abi": []}}
_COMPILER = f"""#!/bin/sh
cat >"$HOME/asked.json"
echo '{json.dumps({"contracts": {CONTRACT: _COMPILED}})}'
"""


@dataclass(frozen=True, slots=True)
class Exported:
    """The files of one proof for a chain; ``insecure`` if anybody can prove anything to it.

    ``register`` is the call that has to be made once before ``verify``, for a contract for all
    keys; it returns the key's digest.
    """

    contract: Path
    verify: Path
    register: Path | None
    insecure: bool


def export(
    out: str | Path,
    *,
    settings: str | Path,
    vk: str | Path,
    srs: str | Path,
    proof: bytes,
    instances: Sequence[int],
    shared: bool = False,
) -> Exported:
    """Write a contract for the verifying key ``vk`` of ezkl, and the calls by which it judges
    ``proof`` about ``instances``; ``shared``: the contract for all keys.

    The contract returns true or reverts. It knows nothing of other steps, of datasets or weight
    files: what the instances mean is for its caller to check.

    Raises
    ------
    InputError
        ezkl is missing or fails, the SRS is unchecked, or the folder cannot be written.
    MalformedProof
        An instance is not below ``r``.
    """
    require("ezkl", "exporting a contract", "ezkl")
    known = checked(srs)
    if known is None:
        raise InputError(f"the SRS {srs} is not checked; run: zktrain ezkl srs check {srs}")
    verify_call(proof, instances)  # raises before ezkl is asked
    source, key = _written_by_ezkl(Path(settings), Path(vk), known.path, shared=shared)
    folder = Path(out)
    disk.make_folder(folder)
    disk.write(folder / CONTRACT, source)
    disk.write(folder / VERIFY, _hex(verify_call(proof, instances, key)))
    register = None
    if key is not None:
        register = folder / REGISTER
        disk.write(register, _hex(register_call(key)))
    return Exported(folder / CONTRACT, folder / VERIFY, register, known.insecure)


def export_step(
    proof: str | Path,
    *,
    step: int,
    srs: str | Path,
    out: str | Path,
    shared: bool = True,
    memory: int | None = None,
    progress: Progress = silent,
) -> Exported:
    """``export`` for one step, counted from 0, of a bundle of ezkl proofs.

    The key is derived from the recipe that the bundle states, as verifying does, and ezkl accepts
    the proof. Everything else that ``verify`` checks is not checked.

    Raises
    ------
    InputError
        As ``export``, or there is no such step.
    MalformedProof, ChainBroken
        The bundle cannot be read.
    StatementMismatch
        The bundle is about another SRS, or states another key than its recipe has.
    ProofMismatch
        ezkl does not accept the proof of the step.
    """
    bundle, _ = wire.read(proof)
    statement = bundle.statement
    if not 0 <= step < len(bundle.steps):
        raise InputError(
            f"there is no step {step}; the bundle has steps 0 to {len(bundle.steps) - 1}"
        )
    reference = open_srs(srs, unchecked=False)
    statement.require_setup(reference)
    with Native() as native:
        keys = stated(statement, reference, native, memory=memory, progress=progress)
        made = bundle.steps[step]
        if not keys.accept(made.instances, made.proof, native):
            raise ProofMismatch("the proof of the step does not hold", stage="proofs", step=step)
        progress("write contract", 0, 1)
        found = export(
            out,
            settings=keys.settings,
            vk=keys.verifying,
            srs=reference.path,
            proof=made.proof,
            instances=[int.from_bytes(value, "little") for value in made.instances],
            shared=shared,
        )
    progress("write contract", 1, 1)
    return found


def _hex(call: bytes) -> bytes:
    return f"0x{call.hex()}\n".encode()


def _written_by_ezkl(
    settings: Path, vk: Path, srs: Path, *, shared: bool
) -> tuple[bytes, list[bytes] | None]:
    """The contract's source and, if it is for all keys, the key in words."""
    for path in (settings, vk):
        if not path.is_file():
            raise InputError(f"{path} is no file; a contract needs settings and verifying key")
    with private_folder() as home:
        compiler = home / ".svm" / _SOLC / f"solc-{_SOLC}"
        disk.make_folder(compiler.parent)
        disk.write(compiler, _COMPILER.encode())
        compiler.chmod(0o700)
        given = [str(path.absolute()) for path in (settings, vk, srs)]
        try:
            done = subprocess.run(
                command(CALL_EZKL, *given, "shared" if shared else "own"),
                cwd=home,
                env=surroundings(home),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise InputError(f"ezkl wrote no contract of {vk} within {_SECONDS} s") from None
        try:
            (source,) = json.loads(_read(home / "asked.json"))["sources"].values()
            key = _key_words(_read(home / "key")) if shared else None
        except (InputError, ValueError):
            said = done.stderr.decode(errors="replace").strip().splitlines()
            reason = said[-1] if said else f"exit code {done.returncode}"
            raise InputError(f"ezkl cannot write the contract of {vk}: {reason:.300}") from None
        return str(source["content"]).encode(), key


def _read(path: Path) -> bytes:
    return files.read_bytes(path, "contract", _MAX_BYTES)


def _key_words(data: bytes) -> list[bytes]:
    """The words of a key as ezkl writes it: their number (u64, little endian), the words."""
    count, words = int.from_bytes(data[:8], "little"), data[8:]
    if len(words) != count * WORD:
        raise ValueError("another length")
    return [words[at : at + WORD] for at in range(0, len(words), WORD)]
