"""Proves that a weight file is the result of training a stated network on a committed dataset.

Importing this package and verifying need numpy alone; the other verbs load what they need when
they are called.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .bench import Benchmarked, bench
    from .commit import DatasetCommitment, commit
    from .compile import CompiledRecipe, compile
    from .errors import (
        ChainBroken,
        CommitmentMismatch,
        InputError,
        LookupMismatch,
        MalformedProof,
        OpeningMismatch,
        RangeOverflow,
        RecipeError,
        Rejected,
        SrsRefused,
        StatementMismatch,
        SumcheckMismatch,
        ZktrainError,
    )
    from .ezkl.bundle import EzklInspection, inspect_ezkl
    from .ezkl.prove import ProvedEzkl, prove_ezkl
    from .ezkl.verify import EzklVerdict, verify_ezkl
    from .progress import Progress
    from .prove import Proved, prove
    from .prove_eval import ProvedEvaluation, prove_eval
    from .train import TrainedRun, train
    from .transcript.bundle import Inspection, inspect_bundle
    from .transcript.evaluation_bundle import EvaluationInspection, inspect_evaluation
    from .verify import Verdict, verify
    from .verify_eval import EvaluationVerdict, verify_eval

__version__ = "0.1.0"

__all__ = [
    "Benchmarked",
    "ChainBroken",
    "CommitmentMismatch",
    "CompiledRecipe",
    "DatasetCommitment",
    "EvaluationInspection",
    "EvaluationVerdict",
    "EzklInspection",
    "EzklVerdict",
    "InputError",
    "Inspection",
    "LookupMismatch",
    "MalformedProof",
    "OpeningMismatch",
    "Progress",
    "Proved",
    "ProvedEvaluation",
    "ProvedEzkl",
    "RangeOverflow",
    "RecipeError",
    "Rejected",
    "SrsRefused",
    "StatementMismatch",
    "SumcheckMismatch",
    "TrainedRun",
    "Verdict",
    "ZktrainError",
    "__version__",
    "bench",
    "commit",
    "compile",
    "inspect_bundle",
    "inspect_evaluation",
    "inspect_ezkl",
    "prove",
    "prove_eval",
    "prove_ezkl",
    "train",
    "verify",
    "verify_eval",
    "verify_ezkl",
]

_VERBS = ("bench", "commit", "compile", "prove", "prove_eval", "train", "verify", "verify_eval")
_HOMES = {
    "Benchmarked": "bench",
    "CompiledRecipe": "compile",
    "DatasetCommitment": "commit",
    "EvaluationInspection": "transcript.evaluation_bundle",
    "EvaluationVerdict": "verify_eval",
    "EzklInspection": "ezkl.bundle",
    "EzklVerdict": "ezkl.verify",
    "Inspection": "transcript.bundle",
    "Progress": "progress",
    "Proved": "prove",
    "ProvedEvaluation": "prove_eval",
    "ProvedEzkl": "ezkl.prove",
    "TrainedRun": "train",
    "Verdict": "verify",
    "inspect_bundle": "transcript.bundle",
    "inspect_evaluation": "transcript.evaluation_bundle",
    "inspect_ezkl": "ezkl.bundle",
    "prove_ezkl": "ezkl.prove",
    "verify_ezkl": "ezkl.verify",
    **{verb: verb for verb in _VERBS},
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'zktrain' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES.get(name, 'errors')}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Keeps ``zktrain.verify`` the function when the module of the same name is imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if name in _VERBS and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
