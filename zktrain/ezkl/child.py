"""The process that calls ezkl, so that nothing that happens in its native code ends the prover.

It reads one JSON request per line, ``{"call": name, ...arguments}``, and answers each with one
line on the descriptor given as its argument: ``{"result": ...}``, or ``{"error": text}``, with the
largest memory so far as ``peak``. It ends with its standard input, and with its parent.

Its home folder is empty and its environment states everything (``native.surroundings``), since
libraries read both: ezkl takes tables for a key from ``$HOME/.ezkl/cache``, unchecked.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from ..files import read_bytes

_PR_SET_PDEATHSIG = 1
_MAX_BYTES = 1 << 28


def _write(path: str, data: bytes) -> None:
    """A file for ezkl, in the private folder of this process: it need not survive it."""
    Path(path).write_bytes(data)


def export(circuit: str, out: str) -> None:
    """Write the step of a circuit, given as its JSON text, as ONNX."""
    from ..circuit.circuit import Circuit
    from .step import export

    _write(out, export(Circuit.from_json(circuit.encode())))


def settings(onnx: str, out: str, run_args: dict[str, Any]) -> dict[str, Any]:
    """Settings of a circuit, from nothing but the network and ``run_args``.

    ezkl keeps sets in an order that changes from process to process and with it the order of the
    table's columns; sorted, equal arguments give equal keys.
    """
    import ezkl

    given = ezkl.PyRunArgs()
    for name, value in run_args.items():
        value = [tuple(item) for item in value] if name == "variables" else value
        setattr(given, name, tuple(value) if name == "lookup_range" else value)
    ezkl.gen_settings(onnx, out, py_run_args=given)
    found: dict[str, Any] = json.loads(read_bytes(out, "settings", _MAX_BYTES))
    found["timestamp"] = 0
    found["required_range_checks"].sort()
    found["required_lookups"].sort(key=lambda item: json.dumps(item, sort_keys=True))
    _write(out, json.dumps(found, sort_keys=True).encode())
    return {
        "rows": found["num_rows"],
        "scales": [*found["model_input_scales"], *found["model_output_scales"]],
        "instances": found["module_sizes"]["poseidon"][1][0],
        "plain_instances": found["model_instance_shapes"],
        "version": found["version"],
    }


def circuit(onnx: str, settings: str, out: str) -> None:
    """Compile the network."""
    import ezkl

    ezkl.compile_circuit(onnx, out, settings)


def keys(circuit: str, vk: str, pk: str, srs: str) -> None:
    """Verifying and proving key of a compiled circuit."""
    import ezkl

    ezkl.setup(circuit, vk, pk, srs, None, False)


def forward(circuit: str, inputs: list[list[int]], scale: int, folder: str) -> dict[str, Any]:
    """Run the circuit on integers; values out, hashes of all tensors, and inputs of tables."""
    import ezkl

    from .field import integer

    data, witness = os.path.join(folder, "input.json"), os.path.join(folder, "witness.json")
    floats = [[value / (1 << scale) for value in tensor] for tensor in inputs]
    _write(data, json.dumps({"input_data": floats}).encode())
    found = ezkl.gen_witness(data, circuit, witness, None, None)
    hashes = [found[f"processed_{side}"]["poseidon_hash"] for side in ("inputs", "outputs")]
    return {
        "outputs": [[integer(bytes.fromhex(v)) for v in tensor] for tensor in found["outputs"]],
        "instances": [*hashes[0], *hashes[1]],
        "lookups": [found["min_lookup_inputs"], found["max_lookup_inputs"]],
    }


def prove(circuit: str, pk: str, srs: str, folder: str) -> str:
    """Prove the witness that ``forward`` left in ``folder``; the proof in hexadecimal digits."""
    import ezkl

    witness, out = os.path.join(folder, "witness.json"), os.path.join(folder, "proof.json")
    ezkl.prove(witness, circuit, pk, out, srs)
    return bytes(json.loads(read_bytes(out, "proof", _MAX_BYTES))["proof"]).hex()


def verify(proof: str, instances: list[str], settings: str, vk: str, srs: str, folder: str) -> bool:
    """Whether a proof holds for these instances. ``srs`` may be cut to its first power."""
    import ezkl

    path = os.path.join(folder, "verify.json")
    snark = {"instances": [instances], "proof": list(bytes.fromhex(proof))}
    _write(path, json.dumps(snark).encode())
    try:
        return bool(ezkl.verify(path, settings, vk, srs, reduced_srs=True))
    except RuntimeError as error:
        if "[halo2]" in str(error):
            return False
        raise


def hashes(tensors: list[list[int]]) -> list[str]:
    """The Poseidon hash of each tensor, in ezkl's text."""
    import ezkl

    from .field import texts

    return [str(ezkl.poseidon_hash(texts(tensor))[0]) for tensor in tensors]


CALLS = {
    call.__name__: call
    for call in (export, settings, circuit, keys, forward, prove, verify, hashes)
}


def _die_with_parent() -> None:
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    _die_with_parent()
    os.umask(0o077)
    scale = 1 if sys.platform == "darwin" else 1024
    with os.fdopen(int(sys.argv[1]), "w") as answers:
        for line in sys.stdin:
            request = json.loads(line)
            answer: dict[str, Any]
            try:
                answer = {"result": CALLS[request.pop("call")](**request)}
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # panics of native code are no Exceptions
                answer = {"error": f"{type(error).__name__}: {error}"[:2000]}
            answer["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
