"""One step of training as a network that ezkl can compile: weights and a batch in, weights out.

    inputs    every parameter in the circuit's order, (inputs, outputs) and (outputs,);
              x (B, features), y one-hot (B, classes), rate (1,)
    outputs   every parameter after the step

    Z_l = A_{l-1} W_l + b_l     A_l = relu(Z_l)     E_L = softmax(Z_L) - y, or Z_L - y
    E_{l-1} = E_l W_l^T * (Z_{l-1} > 0)             W_l -= rate A_{l-1}^T E_l,  b_l -= rate sum(E_l)

``rate`` is the learning rate over the batch size, an input, so that one circuit does for a whole
schedule.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import RecipeError
from ..extras import require
from ..files import read_bytes

if TYPE_CHECKING:
    from ..circuit.circuit import Circuit

OPSET = 18
LOSSES = ("cross_entropy", "mse")
MAX_HASHED = 1 << 17
"""Values hashed in one step. Each takes about 40 rows, so that more do not fit in 2^22."""
MAX_PRODUCTS = 1 << 23
"""Products in one step, two to a row."""


def require_supported(circuit: Circuit) -> None:
    """Raise ``RecipeError`` for a circuit whose step cannot be proved by ezkl."""
    problem = None
    if not circuit.is_dense:
        problem = "has layers that are not dense"
    elif circuit.loss not in LOSSES:
        problem = f"has the loss {circuit.loss}"
    elif circuit.optimizer.more:
        problem = f"has {circuit.optimizer.more}"
    elif circuit.frozen:
        problem = "has frozen layers"
    elif hashed_values(circuit) > MAX_HASHED:
        problem = f"has {hashed_values(circuit):,} weights and inputs per step, all to be hashed"
    elif 3 * circuit.batch_size * circuit.parameters > MAX_PRODUCTS:
        problem = f"has batches of {circuit.batch_size:,} for {circuit.parameters:,} weights"
    if problem is not None:
        raise RecipeError(
            "the ezkl backend proves plain SGD on dense layers with ReLU, softmax cross-entropy "
            f"or squared error, and this recipe {problem}; prove it with the native backend"
        )


def hashed_values(circuit: Circuit) -> int:
    """Elements that go through the hash in one step."""
    batch = circuit.batch_size * (circuit.features + circuit.classes)
    return 2 * circuit.parameters + batch + 1


def fingerprint(circuit: Circuit) -> dict[str, object]:
    """All that the exported network follows from, found without torch."""
    versions = {name: _version(name) for name in ("torch", "onnx", "onnxscript", "onnx-ir")}
    source = read_bytes(Path(__file__).with_name("step_module.py"), "module", 1 << 20)
    return {
        "layers": [[*shape] for shape in circuit.parameter_shapes().values()],
        "relu": [layer.relu for layer in circuit.dense_layers],
        "loss": circuit.loss,
        "batch": circuit.batch_size,
        "opset": OPSET,
        "source": hashlib.sha256(source).hexdigest(),
        **versions,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def require_exporter() -> None:
    """Raise ``InputError`` without torch."""
    require("ezkl", "exporting the step", "torch", "onnx", "onnxscript")


def export(circuit: Circuit) -> bytes:
    """The step as ONNX, by torch's exporter; a function of layers, loss and batch size alone.

    torch reads its surroundings: ``Native.export`` calls this in a process that has none.
    Raises ``RecipeError`` for what is not supported, ``InputError`` without torch.
    """
    require_supported(circuit)
    require_exporter()
    from .step_module import export_step

    return export_step(circuit, OPSET)
