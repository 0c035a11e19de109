"""Settings, compiled circuit and keys of a recipe's step: derived, never taken from a bundle.

    ONNX             from layers, loss and batch size      (zktrain.ezkl.step)
    rows             from the ONNX and Parameters
    settings         from the ONNX, Parameters and rows    sorted: see child.settings
    compiled         from the ONNX and settings
    verifying key    from compiled and SRS                 the same bytes every time

Prover and verifier do the same, so that a verifying key is one of the stated circuit and of no
other. Results are kept in ``$XDG_CACHE_HOME/zktrain/ezkl``, by the digest of everything that they
are derived from.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..circuit.circuit import Circuit
from ..errors import InputError, RecipeError, StatementMismatch
from ..locks import locked
from ..progress import Progress, silent
from . import step
from .memory import require_memory
from .native import Native
from .parameters import EZKL_VERSION, LOGROWS, Parameters, logrows_for
from .reference import Srs
from .statement import EzklStatement

_DESCRIPTION, _ONNX, _SETTINGS, _CIRCUIT = "keys.json", "step.onnx", "settings.json", "step.ezkl"
_FORMAT = "zktrain-ezkl-keys-1"


@dataclass(frozen=True, slots=True)
class Keys:
    """A folder of the cache. ``proving`` is None where only the verifying key was kept."""

    folder: Path
    verifying_digest: str
    logrows: int

    @property
    def settings(self) -> Path:
        return self.folder / _SETTINGS

    @property
    def circuit(self) -> Path:
        return self.folder / _CIRCUIT

    @property
    def verifying(self) -> Path:
        return self.folder / "verifying.key"

    @property
    def proving(self) -> Path:
        return self.folder / "proving.key"

    @property
    def srs(self) -> Path:
        """Two powers of the set-up, enough for verifying."""
        return self.folder / "verifying.srs"

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


def cache_folder() -> Path:
    """Where keys are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or ""
    folder = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return folder / "zktrain" / "ezkl"


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

    Raises
    ------
    RecipeError
        The step cannot be proved, or weights would not come out as they go in.
    InputError
        Memory or SRS are too small, the cache cannot be written, ezkl failed.
    """
    step.require_supported(circuit)
    name = _name(circuit, parameters, srs)
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error.strerror or error}") from None
    with locked(folder):
        kept = _kept(folder / name, proving=proving)
        if kept is not None:
            return kept
        progress("set up", 0, 1)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".") as temporary:
            work = Path(temporary) / name
            work.mkdir()
            logrows = rows_of(circuit, parameters, native, work)
            srs.require_rows(logrows)
            require_memory(logrows, memory, proving=proving)
            keys = _make(circuit, parameters, logrows, srs, native, work)
            if not proving:
                keys.proving.unlink()
            shutil.rmtree(folder / name, ignore_errors=True)
            os.replace(work, folder / name)
        progress("set up", 1, 1)
        return Keys(folder / name, keys.verifying_digest, keys.logrows)


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
        onnx.write_bytes(step.export(circuit))
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
    srs: Srs,
    native: Native,
    work: Path,
) -> Keys:
    compiled(circuit, parameters, logrows, native, work)
    found = Keys(work, "", logrows)
    found.srs.write_bytes(srs.verifying)
    native.call("keys", circuit=found.circuit, vk=found.verifying, pk=found.proving, srs=srs.path)
    digest = hashlib.sha256(found.verifying.read_bytes()).hexdigest()
    fields = {
        "format": _FORMAT,
        "verifying_key": digest,
        "logrows": logrows,
        "proving_key_bytes": found.proving.stat().st_size,
        "settings": hashlib.sha256(found.settings.read_bytes()).hexdigest(),
    }
    (work / _DESCRIPTION).write_text(json.dumps(fields, indent=1) + "\n")
    return Keys(work, digest, logrows)


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


def _kept(folder: Path, *, proving: bool) -> Keys | None:
    """What the cache has, if it is whole."""
    try:
        fields = json.loads((folder / _DESCRIPTION).read_bytes())
        found = Keys(folder, fields["verifying_key"], int(fields["logrows"]))
        verifying, settings = found.verifying.read_bytes(), found.settings.read_bytes()
        whole = (
            fields["format"] == _FORMAT
            and hashlib.sha256(verifying).hexdigest() == found.verifying_digest
            and hashlib.sha256(settings).hexdigest() == fields["settings"]
            and found.srs.is_file()
            and found.circuit.is_file()
        )
        if proving:
            whole = whole and found.proving.stat().st_size == fields["proving_key_bytes"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if whole else None
