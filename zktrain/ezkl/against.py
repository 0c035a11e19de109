"""The native backend and ezkl, on the same step of the same recipe, on one machine in one run.

    ezkl      proves the recipe as it is; 1,024 steps are its steps many times over, since one proof
              is made and checked after the other, with one set-up
    native    proves one step, and 1,024, in runs of their own
    trainings in float32 and in exact integers, of 1,024 steps

What ezkl takes for 1,024 steps is thus computed, not measured, and marked so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from .. import disk, files
from ..benchmarking.processes import Measured, command
from ..circuit.compile import compile_recipe
from ..circuit.recipe import load_recipe
from ..cli import wording
from ..errors import InputError
from ..extras import require
from ..machine import describe
from ..progress import Progress, silent
from .folders import private_folder

FORMAT = "zktrain-against-ezkl-1"
RESULT = "ezkl.json"
MANY = 1024
FIGURE = "ezkl.png"
_MAX_BYTES = 1 << 28
REPEATED = 3
"""Verifications and trainings, of which the fastest count."""


def against(
    recipe: str | Path,
    data: str,
    srs: str | Path,
    *,
    out: str | Path = "bench",
    scale: int | None = None,
    command: str = "zktrain.ezkl.against.against",
    progress: Progress = silent,
) -> dict[str, Any]:
    """Measure a recipe with both backends, into ``out/ezkl.json``, which keeps one entry for each
    recipe, and ``out/figures/ezkl.png``; the whole result.

    Raises ``InputError`` where a library is missing or a command fails.
    """
    require("prove", "measuring", "torch", "onnx", "numba")
    require("ezkl", "measuring ezkl", "ezkl")
    require("demo", "reporting", "matplotlib")
    from ..benchmarking.runner import compact, header

    folder, path = Path(out), Path(out) / RESULT
    try:
        disk.make_folder(folder)
        known = json.loads(files.read_bytes(path, "result", _MAX_BYTES)) if path.exists() else {}
        kept = known["recipes"] if known.get("format") == FORMAT else {}
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise InputError(f"{path} cannot be added to ({error}); choose another --out") from None
    top = {**header(command), "format": FORMAT, "kind": "against ezkl"}
    entry = measure(Path(recipe), data, Path(srs), scale=scale, progress=progress)
    entry["commit"] = top["commit"]
    result = {**top, "recipes": {**kept, Path(recipe).stem: entry}}
    disk.write(path, (compact(result) + "\n").encode())
    draw(result, folder)
    return result


def draw(result: dict[str, Any], folder: Path) -> list[Path]:
    """The figure of a comparison, in ``folder``."""
    from ..benchmarking import figures
    from . import against_report

    path = folder / "figures" / FIGURE
    figures.save(partial(against_report.figure, result), path)
    return [path]


def measure(
    recipe: Path, data: str, srs: Path, *, scale: int | None = None, progress: Progress = silent
) -> dict[str, Any]:
    """Everything about one recipe. Raises ``InputError`` where a command fails."""
    circuit = compile_recipe(recipe).circuit
    with private_folder() as folder:
        public = folder / "dataset.zkd"
        stages = 5
        progress("commit", 0, stages)
        committed = command("commit", data, "--public", "--out", public)
        progress("ezkl", 1, stages)
        ezkl = _ezkl(recipe, data, public, srs, scale, circuit.steps, folder)
        progress("native, one step", 2, stages)
        _native(recipe, data, public, 1, folder)  # compiles kernels where they are not yet
        one = _native(recipe, data, public, 1, folder)
        progress(f"native, {MANY:,} steps", 3, stages)
        many = _native(recipe, data, public, MANY, folder)
        progress("done", stages, stages)
    trained = many.pop("trained")
    one.pop("trained")
    integers, floats = trained["seconds"], trained["float_seconds"]
    result: dict[str, Any] = {
        "recipe": recipe.name,
        "data": Path(data).name,
        "network": wording.network(circuit),
        "parameters": circuit.parameters,
        "batch_size": circuit.batch_size,
        "steps": circuit.steps,
        "commit_seconds": committed.printed["seconds"],
        "training": {
            "steps": MANY,
            "float_seconds": floats,
            "integer_seconds": integers,
        },
        "ezkl": ezkl,
        "native": {"one": one, "many": many},
        "machine": describe(),
    }
    result["verify_against_retraining"] = {
        backend: {
            "float32": result[backend]["many"]["verify_seconds"] / floats,
            "integers": result[backend]["many"]["verify_seconds"] / integers,
        }
        for backend in ("ezkl", "native")
    }
    return result


def _ezkl(
    recipe: Path,
    data: str,
    public: Path,
    srs: Path,
    scale: int | None,
    steps: int,
    folder: Path,
) -> dict[str, Any]:
    run, proof = folder / "run-ezkl", folder / "ezkl.zkt"
    command("train", recipe, "--data", data, "--dataset", public, "--out", run)
    options = [] if scale is None else ["--scale", str(scale)]
    with private_folder(folder) as cache:  # proving keys are large
        made = command(
            "ezkl", "prove", run, "--srs", srs, "--unchecked-srs", "--out", proof,
            *options, environment={"XDG_CACHE_HOME": str(cache)},
        )  # fmt: skip
    arguments = (
        made.printed["weights"], "--proof", proof, "--dataset", public, "--data", data,
        "--srs", srs, "--unchecked-srs", "--insecure-srs",
    )  # fmt: skip

    def verify() -> Measured:
        return command(
            "ezkl", "verify", *arguments, environment={"XDG_CACHE_HOME": str(folder / "cache")}
        )

    first = verify()
    best = _fastest(verify)
    printed, stages = made.printed, best.printed["stages"]
    proving = printed["stages"]["prove"] / steps
    each = (stages["links"] + stages["proofs"]) / steps
    once = best.printed["seconds"] - each * steps
    common = {
        "setup_seconds": printed["stages"]["set up"],
        "setup_peak_bytes": printed["peaks"]["set up"],
        "proving_key_bytes": printed["proving_key_bytes"],
        "verifying_key_bytes": printed["verifying_key_bytes"],
        "peak_bytes": made.peak_bytes,
    }
    size = printed["proof_bytes"] / steps
    return {
        "rows_log": printed["logrows"],
        "fractional_bits": printed["fractional_bits"],
        "insecure_srs": printed["insecure_srs"],
        "calibrate_seconds": printed["stages"]["calibrate"],
        "largest_difference": printed["largest_difference"],
        "verify_first_seconds": first.printed["seconds"],
        "verify_process_seconds": best.seconds,
        "verify_peak_bytes": first.peak_bytes,
        "one": {
            **common,
            "prove_seconds": proving,
            "proof_bytes": round(size),
            "verify_seconds": once + each,
            "computed": steps != 1,
        },
        "many": {
            **common,
            "prove_seconds": MANY * proving,
            "proof_bytes": round(MANY * size),
            "verify_seconds": once + MANY * each,
            "computed": True,
        },
    }


def _native(recipe: Path, data: str, public: Path, steps: int, folder: Path) -> dict[str, Any]:
    with private_folder(folder) as name:
        run, proof = name / "run", name / "proof.zkt"
        changed = with_steps(recipe, steps, name)
        trained = [
            command("train", changed, "--data", data, "--dataset", public, "--compare-float",
                    "--out", run if number == 0 else name / f"again-{number}").printed
            for number in range(REPEATED)
        ]  # fmt: skip
        made = command("prove", run, "--out", proof)
        arguments = (run / "weights.safetensors", "--proof", proof, "--dataset", public)
        best = _fastest(lambda: command("verify", *arguments))
        return {
            "setup_seconds": 0.0,
            "setup_peak_bytes": 0,
            "proving_key_bytes": 0,
            "verifying_key_bytes": 0,
            "prove_seconds": made.printed["seconds"],
            "proof_bytes": made.printed["proof_bytes"],
            "peak_bytes": made.peak_bytes,
            "verify_seconds": best.printed["seconds"],
            "verify_process_seconds": best.seconds,
            "security_bits": best.printed["security_bits"],
            "computed": False,
            "trained": {
                name: min(one[name] for one in trained) for name in ("seconds", "float_seconds")
            },
        }


def _fastest(verify: Callable[[], Measured]) -> Measured:
    return min((verify() for _ in range(REPEATED)), key=lambda done: done.printed["seconds"])


def with_steps(recipe: Path, steps: int, folder: Path) -> Path:
    """The recipe for another number of steps, in ``folder``. Raises ``InputError``."""
    known = load_recipe(recipe)
    text = files.read_bytes(recipe, "recipe", _MAX_BYTES).decode()
    text = re.sub(r"(?m)^steps\s*=.*$", f"steps = {steps}", text)
    model = json.dumps(str(known.model.resolve()))
    text = re.sub(r"(?m)^onnx\s*=\s*\".*$", lambda _: f"onnx = {model}", text)
    out = folder / recipe.name
    disk.write(out, text.encode())
    found = load_recipe(out)
    if found.steps != steps or found.model.resolve() != known.model.resolve():
        raise InputError(f"{recipe} must have its steps and its onnx on lines of their own")
    return out
