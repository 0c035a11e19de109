"""Settings, compiled circuit and keys of a recipe's step: derived, never taken from a bundle.

    ONNX             from layers, loss and batch size      (zktrain.ezkl.step)
    settings         from the ONNX and Parameters          sorted: see child.settings
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..circuit.circuit import Circuit
from ..errors import InputError, RecipeError
from ..locks import locked
from ..progress import Progress, silent
from . import step
from .memory import require_memory
from .native import Native
from .parameters import EZKL_VERSION, Parameters
from .reference import Srs

_DESCRIPTION = "keys.json"
_FORMAT = "zktrain-ezkl-keys-1"


@dataclass(frozen=True, slots=True)
class Keys:
    """A folder of the cache. ``proving`` is None where only the verifying key was kept."""

    folder: Path
    verifying_digest: str
    instances: int

    @property
    def settings(self) -> Path:
        return self.folder / "settings.json"

    @property
    def circuit(self) -> Path:
        return self.folder / "step.ezkl"

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
    onnx = step.export(circuit)
    name = _name(onnx, parameters, srs)
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder} cannot be made: {error.strerror or error}") from None
    with locked(folder):
        kept = _kept(folder / name, proving=proving)
        if kept is not None:
            return kept
        srs.require_rows(parameters.logrows)
        require_memory(parameters.logrows, memory, "setting up")
        progress("set up", 0, 1)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".") as temporary:
            work = Path(temporary) / name
            work.mkdir()
            keys = _make(circuit, onnx, parameters, srs, native, work)
            if not proving:
                keys.proving.unlink()
            shutil.rmtree(folder / name, ignore_errors=True)
            os.replace(work, folder / name)
        progress("set up", 1, 1)
        return Keys(folder / name, keys.verifying_digest, keys.instances)


def compiled(
    circuit: Circuit, parameters: Parameters, native: Native, folder: Path
) -> tuple[Path, dict[str, Any]]:
    """The compiled circuit without keys, and what its settings say."""
    onnx = folder / "step.onnx"
    onnx.write_bytes(step.export(circuit))
    settings, out = folder / "settings.json", folder / "step.ezkl"
    described = native.call("settings", onnx=onnx, out=settings, run_args=parameters.run_args())
    _check(described, circuit, parameters)
    native.call("circuit", onnx=onnx, settings=settings, out=out)
    return out, described


def _make(
    circuit: Circuit,
    onnx: bytes,
    parameters: Parameters,
    srs: Srs,
    native: Native,
    work: Path,
) -> Keys:
    _, described = compiled(circuit, parameters, native, work)
    found = Keys(work, "", described["instances"])
    found.srs.write_bytes(srs.verifying)
    native.call("keys", circuit=found.circuit, vk=found.verifying, pk=found.proving, srs=srs.path)
    digest = hashlib.sha256(found.verifying.read_bytes()).hexdigest()
    fields = {
        "format": _FORMAT,
        "verifying_key": digest,
        "instances": found.instances,
        "proving_key_bytes": found.proving.stat().st_size,
        "settings": hashlib.sha256(found.settings.read_bytes()).hexdigest(),
    }
    (work / _DESCRIPTION).write_text(json.dumps(fields, indent=1) + "\n")
    return Keys(work, digest, found.instances)


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


def _name(onnx: bytes, parameters: Parameters, srs: Srs) -> str:
    text = json.dumps(
        {
            "format": _FORMAT,
            "ezkl": EZKL_VERSION,
            "onnx": hashlib.sha256(onnx).hexdigest(),
            "arguments": parameters.run_args(),
            "srs": srs.setup,
        },
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _kept(folder: Path, *, proving: bool) -> Keys | None:
    """What the cache has, if it is whole."""
    try:
        fields = json.loads((folder / _DESCRIPTION).read_bytes())
        found = Keys(folder, fields["verifying_key"], fields["instances"])
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
