"""Proves that a weight file is the result of training a stated network on a committed dataset.

Importing this package and verifying need numpy alone; the other verbs load what they need when
they are called.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._bench import Benchmarked, bench
    from ._commit import DatasetCommitment, commit
    from ._compile import CompiledRecipe, compile
    from ._inspect import Inspection, inspect
    from ._prove import Proved, prove
    from ._prove_eval import ProvedEvaluation, prove_eval
    from ._train import TrainedRun, train
    from ._verify import CheckpointVerdict, EvaluationVerdict, Verdict, verify, verify_eval
    from .errors import (
        ChainBroken,
        CommitmentMismatch,
        HiddenMismatch,
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
    from .progress import Progress

__version__ = "0.1.0"

__all__ = [
    "Benchmarked",
    "ChainBroken",
    "CheckpointVerdict",
    "CommitmentMismatch",
    "CompiledRecipe",
    "DatasetCommitment",
    "EvaluationVerdict",
    "HiddenMismatch",
    "InputError",
    "Inspection",
    "LookupMismatch",
    "MalformedProof",
    "OpeningMismatch",
    "Progress",
    "Proved",
    "ProvedEvaluation",
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
    "inspect",
    "prove",
    "prove_eval",
    "train",
    "verify",
    "verify_eval",
]

_HOMES = {
    "Benchmarked": "_bench",
    "CheckpointVerdict": "_verify",
    "CompiledRecipe": "_compile",
    "DatasetCommitment": "_commit",
    "EvaluationVerdict": "_verify",
    "Inspection": "_inspect",
    "Progress": "progress",
    "Proved": "_prove",
    "ProvedEvaluation": "_prove_eval",
    "TrainedRun": "_train",
    "Verdict": "_verify",
    "bench": "_bench",
    "commit": "_commit",
    "compile": "_compile",
    "inspect": "_inspect",
    "prove": "_prove",
    "prove_eval": "_prove_eval",
    "train": "_train",
    "verify": "_verify",
    "verify_eval": "_verify",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'zktrain' has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES.get(name, 'errors')}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
