"""A run on irises that ezkl proved, and verdicts on what becomes of its bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_run import write_onnx

import zktrain
from zktrain.circuit.compile import compile_recipe
from zktrain.ezkl import step
from zktrain.ezkl.bundle import EzklBundle, parse
from zktrain.ezkl.native import Native
from zktrain.ezkl.srs import CheckedSrs, generate
from zktrain.ezkl.srs.record import write_record

LOGROWS = 12
SCALE = 12
WIDTHS = (4, 2, 3)
RECIPE = """
[model]
onnx = "tiny.onnx"

[training]
loss = "cross_entropy"
optimizer = "sgd"
learning_rate = 0.0625
batch_size = 2
steps = 2
order_seed = "zktrain iris order"

[init]
seed = "iris"

[proof]
zero_knowledge = false
"""
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class IrisProof:
    """Paths of everything that a run leaves, none of which may be changed."""

    folder: Path
    circuit: Path
    data: Path
    root: str
    run: Path
    srs: Path
    checked: CheckedSrs
    proved: zktrain.ezkl.Proved

    def remember(self) -> None:
        """That the SRS was checked, in the cache of now."""
        write_record(self.checked)

    @property
    def bundle(self) -> EzklBundle:
        return parse(self.proved.path.read_bytes())

    def prove(self, **changes: Any) -> zktrain.ezkl.Proved:
        """Prove the run once more, by default from the steps that are kept."""
        given = {"run": self.run, "srs": self.srs, "scale": SCALE}
        return zktrain.ezkl.prove(**{**given, **changes})

    def verify(
        self, bundle: EzklBundle | bytes | None = None, **changes: Any
    ) -> zktrain.ezkl.Verdict:
        """The verdict on a bundle, by default the honest one, that takes its path's place."""
        proof = self.proved.path
        if bundle is not None:
            proof = self.folder / "forged.zkt"
            proof.write_bytes(bundle if isinstance(bundle, bytes) else bundle.to_bytes())
        given: dict[str, Any] = {
            "weights": self.proved.weights,
            "proof": proof,
            "dataset": self.root,
            "data": self.data,
            "srs": self.srs,
            "insecure_srs": True,
        }
        return zktrain.ezkl.verify(**{**given, **changes})


def write_iris(path: Path) -> Path:
    """The records of ``benchmarks/iris_data.py``."""
    from sklearn.datasets import load_iris

    bunch = load_iris()
    np.savez(path, inputs=bunch.data, labels=bunch.target, classes=3, low=0.0, high=8.0)
    return path


def make_iris(folder: Path) -> IrisProof:
    """Train and prove a network as small as keys of 2^12 rows allow."""
    data = write_iris(folder / "iris.npz")
    srs = folder / "test.srs"
    checked = generate(LOGROWS, srs)
    recipe = folder / "iris.toml"
    recipe.write_text(RECIPE)
    write_onnx(folder / "tiny.onnx", WIDTHS)
    circuit = folder / "iris.circuit.json"
    circuit.write_bytes(compile_recipe(recipe).circuit.canonical_json())
    trained = zktrain.train(recipe, data=data, out=folder / "run")
    proved = zktrain.ezkl.prove(trained.path, srs=srs, scale=SCALE)
    return IrisProof(
        folder, circuit, data, trained.dataset_root, trained.path, srs, checked, proved
    )


@dataclass(frozen=True)
class Foreign:
    """A sound proof of another step function, which goes up the gradient, with keys of its own."""

    bundle: EzklBundle
    weights: Path
    cache: Path


def ascent(self: Any, *tensors: Any) -> Any:
    *weights, x, y, rate = tensors
    return self.honest(*weights, x, y, -rate)


def make_foreign(iris: IrisProof, folder: Path) -> Foreign:
    """Prove the run with the other step function."""
    from zktrain.ezkl.step_module import Step

    out = folder / "ascent.zkt"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        iris.remember()
        patch.setattr(Step, "honest", Step.forward, raising=False)
        patch.setattr(Step, "forward", ascent)
        patch.setattr(Native, "export", lambda self, circuit: step.export(circuit))
        proved = iris.prove(out=out)
    assert proved.verifying_key != iris.proved.verifying_key
    return Foreign(parse(out.read_bytes()), proved.weights, folder / "zktrain" / "ezkl")
