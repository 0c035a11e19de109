"""A run on irises that ezkl proved, and verdicts on what becomes of its bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import zktrain
from zktrain.ezkl.bundle import EzklBundle, parse
from zktrain.ezkl.parameters import DEFAULT_SCALE
from zktrain.srs import generate

LOGROWS = 14
SCALE = DEFAULT_SCALE
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
    proved: zktrain.ProvedEzkl

    @property
    def bundle(self) -> EzklBundle:
        return parse(self.proved.path.read_bytes())

    def verify(
        self, bundle: EzklBundle | bytes | None = None, **changes: Any
    ) -> zktrain.EzklVerdict:
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
        return zktrain.verify_ezkl(**{**given, **changes})


def write_iris(path: Path) -> Path:
    """The records of ``benchmarks/iris_data.py``."""
    from sklearn.datasets import load_iris

    bunch = load_iris()
    np.savez(path, inputs=bunch.data, labels=bunch.target, classes=3, low=0.0, high=8.0)
    return path


def make_iris(folder: Path) -> IrisProof:
    """Train and prove ``circuits/iris-mlp-8.toml``."""
    data = write_iris(folder / "iris.npz")
    srs = folder / "test.srs"
    generate(LOGROWS, srs)
    recipe = ROOT / "circuits" / "iris-mlp-8.toml"
    trained = zktrain.train(recipe, data=data, out=folder / "run")
    proved = zktrain.prove_ezkl(trained.path, srs=srs)
    circuit = recipe.with_suffix(".circuit.json")
    return IrisProof(folder, circuit, data, trained.dataset_root, trained.path, srs, proved)
