"""Settings, compiled circuit and keys of a recipe's step: derived, never taken from a bundle.

    ONNX             from layers, loss and batch size      (zktrain.ezkl.step)
    rows             from the ONNX and Parameters
    settings         from the ONNX, Parameters and rows    sorted: see child.settings
    compiled         from the ONNX and settings
    verifying key    from compiled and SRS                 the same bytes every time

Prover and verifier do the same, so that a verifying key is one of the stated circuit and of no
other. Results are kept in ``$XDG_CACHE_HOME/zktrain/ezkl``, by the digest of everything that they
are derived from (*name*), with a digest over name and contents that is computed anew whenever they
are used. It finds accidents. Against others it is the owners and modes of folders and files that
count: what others could have written is not read, and keys are derived anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import disk
from ..caches import own_folder, weakness
from ..circuit.circuit import Circuit
from ..errors import InputError, RecipeError, StatementMismatch
from ..files import read_bytes
from ..locks import claimed
from ..notices import say
from ..progress import Progress, silent
from . import step
from .folders import private_folder
from .memory import require_memory
from .native import Native
from .parameters import EZKL_VERSION, LOGROWS, Parameters, logrows_for
from .reference import Srs
from .statement import EzklStatement

_DESCRIPTION, _ONNX, _SETTINGS, _CIRCUIT = "keys.json", "step.onnx", "settings.json", "step.ezkl"
_VERIFYING, _PROVING = "verifying.key", "proving.key"
_FORMAT = "zktrain-ezkl-keys-2"
_MAX_DESCRIPTION, _MAX_SETTINGS, _MAX_VERIFYING = 4096, 1 << 24, 1 << 24
_MAX_CIRCUIT = 1 << 30


@dataclass(frozen=True, slots=True)
class Keys:
    """Files of one circuit. Those for verifying are in a folder of this process alone, written from
    the bytes that were checked; ``proving`` and ``circuit`` are for who proves."""

    verifying: Path
    settings: Path
    srs: Path
    """Two powers of the set-up, enough for verifying."""
    circuit: Path
    proving: Path
    verifying_digest: str
    logrows: int

    def accept(self, instances: Sequence[bytes], proof: bytes, native: Native) -> bool:
        """Whether ezkl accepts the proof for these instances. Raises ``EzklFailure``."""
        return bool(
            native.call(
                "verify",
                proof=proof.hex(),
                instances=[value.hex() for value in instances],
                settings=self.settings,
                vk=self.verifying,
                srs=self.srs,
                folder=native.folder,
            )
        )


def derive(
    circuit: Circuit,
    parameters: Parameters,
    srs: Srs,
    native: Native,
    *,
    proving: bool,
    memory: int | None = None,
    progress: Progress = silent,
) -> Keys:
    """Keys of the step of ``circuit``, from the cache or made anew.

    Without ``proving`` the proving key, which is large and made at the same time, is not kept.
    Where no cache can be used, files last as long as ``native``.

    Raises
    ------
    RecipeError
        The step cannot be proved, or weights would not come out as they go in.
    InputError
        Memory or SRS are too small, the cache cannot be written, ezkl failed.
    """
    step.require_supported(circuit)
    name = _name(circuit, parameters, srs)
    with ExitStack() as kept:
        cache = own_folder("ezkl")
        if cache is None:
            cache = native.folder
        else:
            kept.enter_context(_alone(cache, name))
        found = _kept(cache / name, name, srs, native, proving=proving)
        if found is not None:
            return found
        progress("set up", 0, 1)
        work = kept.enter_context(private_folder(cache)) / name
        disk.make_folder(work, private=True)
        logrows = rows_of(circuit, parameters, native, work)
        srs.require_rows(logrows)
        require_memory(logrows, memory, proving=proving)
        _make(circuit, parameters, logrows, name, srs, native, work)
        if not proving:
            disk.remove(work / _PROVING)
        disk.take_place(work, cache / name)
        made = _kept(cache / name, name, srs, native, proving=proving)
        if made is None:
            raise InputError(f"keys in {cache / name} were changed while they were made")
        progress("set up", 1, 1)
        return made


@contextmanager
def _alone(cache: Path, name: str) -> Iterator[None]:
    """One process at a time for one circuit's keys; says so while another one has them."""
    path, busy = cache / f"{name}.lock", "another process is making the keys of this circuit"
    with ExitStack() as entered:
        try:
            entered.enter_context(claimed(path, busy=busy))
        except InputError as error:
            if error.message != busy:
                raise
            say(f"{busy}; waiting until it has")
            entered.enter_context(claimed(path, busy=None))
        yield


def stated(
    statement: EzklStatement,
    srs: Srs,
    native: Native,
    *,
    memory: int | None = None,
    progress: Progress = silent,
) -> Keys:
    """The verifying key of the stated recipe, derived as by :func:`derive`. Raises
    ``StatementMismatch`` if the statement names another one."""
    keys = derive(
        statement.circuit,
        statement.parameters,
        srs,
        native,
        proving=False,
        memory=memory,
        progress=progress,
    )
    if keys.verifying_digest != statement.verifying_key:
        raise StatementMismatch(
            "the verifying key is not that of the stated circuit, or the prover had another "
            "version of torch or ezkl",
            stage="verifying key",
            expected=keys.verifying_digest[:16],
            got=statement.verifying_key[:16],
        )
    return keys


def rows_of(circuit: Circuit, parameters: Parameters, native: Native, folder: Path) -> int:
    """``logrows`` of the circuit. Raises ``RecipeError`` if none is large enough."""
    rows = int(_settings(circuit, parameters, LOGROWS[1], native, folder)["rows"])
    found = logrows_for(rows, parameters)
    if found > LOGROWS[1]:
        raise RecipeError(
            f"a step takes {rows:,} rows of an ezkl circuit, more than 2^{LOGROWS[1]}; use a "
            "smaller batch or network, or the native backend"
        )
    return found


def compiled(
    circuit: Circuit, parameters: Parameters, logrows: int, native: Native, folder: Path
) -> Path:
    """Export, settle and compile the circuit in ``folder``, without keys."""
    _settings(circuit, parameters, logrows, native, folder)
    out = folder / _CIRCUIT
    native.call("circuit", onnx=folder / _ONNX, settings=folder / _SETTINGS, out=out)
    return out


def _settings(
    circuit: Circuit, parameters: Parameters, logrows: int, native: Native, folder: Path
) -> dict[str, Any]:
    """Write the network and its settings; what they say, checked."""
    onnx = folder / _ONNX
    if not onnx.exists():
        disk.write(onnx, native.export(circuit))
    arguments = parameters.run_args(logrows)
    described: dict[str, Any] = native.call(
        "settings", onnx=onnx, out=folder / _SETTINGS, run_args=arguments
    )
    _check(described, circuit, parameters)
    return described


def _make(
    circuit: Circuit,
    parameters: Parameters,
    logrows: int,
    name: str,
    srs: Srs,
    native: Native,
    work: Path,
) -> None:
    compiled(circuit, parameters, logrows, native, work)
    powers = srs.copied(work / "srs")
    verifying, proving = work / _VERIFYING, work / _PROVING
    native.call(
        "keys", circuit=work / _CIRCUIT, vk=verifying, pk=proving, srs=powers, logrows=logrows
    )
    disk.remove(powers)
    contents = [read_bytes(work / part, what, limit) for part, what, limit in _PARTS]
    fields = {
        "format": _FORMAT,
        "digest": _digest(name, srs, contents),
        "verifying_key": hashlib.sha256(contents[0]).hexdigest(),
        "logrows": logrows,
        "proving_key_bytes": proving.stat().st_size,
    }
    disk.write(work / _DESCRIPTION, (json.dumps(fields, indent=1) + "\n").encode())


def _check(described: dict[str, Any], circuit: Circuit, parameters: Parameters) -> None:
    """Refuse a circuit that is not what the links between steps rely on."""
    count = 2 * len(circuit.parameter_shapes()) + 3
    scales = set(described["scales"])
    if scales != {parameters.scale}:
        raise RecipeError(
            f"ezkl gives the weights of a step the scales {sorted(scales)} where all must have "
            f"{parameters.scale}, so that steps do not chain; prove it with the native backend"
        )
    if described["instances"] != count or described["plain_instances"]:
        raise RecipeError(
            f"ezkl gives a step {described['instances']} hashes where it must have {count}; prove "
            "it with the native backend"
        )


def _name(circuit: Circuit, parameters: Parameters, srs: Srs) -> str:
    text = json.dumps(
        {
            "format": _FORMAT,
            "ezkl": EZKL_VERSION,
            "step": step.fingerprint(circuit),
            "arguments": parameters.run_args(0),
            "srs": srs.identity,
        },
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()


_PARTS = (
    (_VERIFYING, "verifying key", _MAX_VERIFYING),
    (_SETTINGS, "settings", _MAX_SETTINGS),
    (_CIRCUIT, "compiled circuit", _MAX_CIRCUIT),
)


def _digest(name: str, srs: Srs, contents: Sequence[bytes]) -> str:
    """Of an entry: what it was derived from, and the bytes of key, settings and circuit."""
    state = hashlib.sha256(b"zktrain ezkl keys v2\0" + bytes.fromhex(name))
    for data in (srs.verifying, *contents):
        state.update(len(data).to_bytes(8, "little") + data)
    return state.hexdigest()


def _kept(entry: Path, name: str, srs: Srs, native: Native, *, proving: bool) -> Keys | None:
    """What the cache has, if it is whole and nobody else could have written it."""
    paths = [entry / part for part in (_DESCRIPTION, *(part for part, _, _ in _PARTS))]
    if not entry.exists():
        return None
    if any(weakness(path) is not None for path in (entry, *paths)):
        say(f"{entry} is made anew: others could have written in it")
        return None
    try:
        fields = json.loads(read_bytes(paths[0], "description of keys", _MAX_DESCRIPTION))
        contents = [read_bytes(entry / part, what, limit) for part, what, limit in _PARTS]
        logrows = fields["logrows"]
        whole = (
            type(logrows) is int
            and LOGROWS[0] <= logrows <= LOGROWS[1]
            and fields["format"] == _FORMAT
            and fields["digest"] == _digest(name, srs, contents)
        )
        if proving:
            whole = whole and (entry / _PROVING).stat().st_size == fields["proving_key_bytes"]
    except (InputError, OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    if not whole:
        return None
    own = native.folder / f"keys {name}"
    disk.make_folder(own, private=True)
    found = Keys(
        verifying=own / _VERIFYING,
        settings=own / _SETTINGS,
        srs=own / "verifying.srs",
        circuit=entry / _CIRCUIT,
        proving=entry / _PROVING,
        verifying_digest=hashlib.sha256(contents[0]).hexdigest(),
        logrows=logrows,
    )
    for path, data in (
        (found.verifying, contents[0]),
        (found.settings, contents[1]),
        (found.srs, srs.verifying),
    ):
        disk.write(path, data, private=True)
    return found
