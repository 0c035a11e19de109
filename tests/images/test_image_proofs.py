"""Runs of networks on images: true ones are accepted."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from check_sites import refused_by
from image_run import CLASSES, NETWORKS, Attempt, conv, dense
from patched import everywhere

from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initialisation import Initialisation
from zktrain.commitment import opening
from zktrain.dataset.commitment import DatasetHeader
from zktrain.errors import ZktrainError
from zktrain.field.extension import LOG2_SIZE
from zktrain.layers import Add, AnyLayer, Flatten, Unflatten
from zktrain.operations import Accumulate, Product
from zktrain.operations.base import Context
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers.filtered_sgd import FilteredSgd
from zktrain.optimizers.sgd import Sgd
from zktrain.protocol import proof as proofs
from zktrain.protocol.statement import Statement
from zktrain.protocol.tasks import Training


@pytest.mark.parametrize("hiding", [False, True], ids=["clear", "hiding"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_true_run_is_accepted(name: str, hiding: bool) -> None:
    attempt = Attempt(name, steps=3, hiding=hiding)
    attempt.verify(attempt.prove())


def statement(layers: tuple[AnyLayer, ...]) -> Statement:
    circuit = Circuit(layers, "cross_entropy", FixedPoint(), 3, 3, Sgd(((0, 1),)), "o",
                      Initialisation("seed", "s"))  # fmt: skip
    header = DatasetHeader(9, circuit.features, CLASSES, bytes(32), 0)
    return Statement(Training(circuit, "0" * 64, "0" * 64), header, 100)


@pytest.mark.parametrize("name", NETWORKS)
def test_claims_are_counted_as_a_verifier_meets_them(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt = Attempt(name, steps=3)
    proof, expected = attempt.prove(), attempt.statement().claims
    opened: list[int] = []
    gathered: list[int] = []
    true_verify, true_gather = opening.verify, Accumulate.gather

    def verify(*args: Any, **more: Any) -> None:
        opened.append(len(args[4]))
        true_verify(*args, **more)

    def gather(*args: Any) -> Any:
        found = true_gather(*args)
        gathered.append(len(found[0]))
        return found

    monkeypatch.setattr(opening, "verify", verify)
    monkeypatch.setattr(Accumulate, "gather", gather)
    attempt.verify(proof)
    committed = {tensor.name for tensor in attempt.circuit.graph().tensors if tensor.committed}
    own = sum(
        many for name, many in expected.tensors.items()
        if name in committed or name.startswith("multiplicity")
    )  # fmt: skip
    assert opened == [own + sum(expected.dataset.values())]
    assert sum(gathered) == sum(expected.weights.values())


def test_claims_add_up_where_outputs_are_read_again_and_again() -> None:
    """Sums without ReLU pass all their claims on: as many as there are ways back. What one
    challenge batches grows with them, and so does its error term."""
    layers: list[AnyLayer] = [Unflatten("image", 1, 2, 2), conv("c0", 1, 1, 1)]
    for index in range(1, 24):
        layers.append(conv(f"c{index}", 1, 1, 1, relu=False))
        before = "c0" if index == 1 else f"s{index - 1}"
        layers.append(Add(f"s{index}", before, False))
    many = statement((*layers, Flatten("flat"), dense("fc", 4, CLASSES)))
    assert many.problem() is None
    claims = many.claims
    assert max(claims.tensors.values()) > 40
    products = [op for op in many.graph.operations if isinstance(op, Product)]
    shape, graph = many.shape, many.graph
    exact = sum(claims.tensors[op.output] + 3 * shape.log_size(graph.tensor(op.output))
                for op in products)  # fmt: skip
    (term,) = [t for t in many.soundness_terms if t.name == "element-wise products"]
    assert term.bits == pytest.approx(LOG2_SIZE - math.log2(exact))


FROZEN = {"bypass": ("c1",), "mean": ("c2", "fc1"), "curves": ("fc1",)}
MOMENTUM = FilteredSgd((), round(0.8 * 2**40), True, round(0.01 * 2**40), 4)


@pytest.mark.parametrize("hiding", [False, True], ids=["clear", "hiding"])
@pytest.mark.parametrize("name", ["maximum", "residual"])
def test_momentum_and_weight_decay(name: str, hiding: bool) -> None:
    attempt = Attempt(name, hiding=hiding, momentum=MOMENTUM)
    plain = Attempt(name)
    layer = attempt.circuit.trained[0]
    assert not np.array_equal(attempt.end[layer.weight], plain.end[layer.weight])
    attempt.verify(attempt.prove())


def test_weights_that_were_not_decayed() -> None:
    """The prover leaves the decay out, and all that he says fits that."""
    attempt = Attempt("maximum", momentum=replace(MOMENTUM, weight_decay=0))
    undecayed, true = attempt.circuit, proofs.context_of
    attempt.circuit = Attempt("maximum", momentum=MOMENTUM).circuit

    def lie(*known: Any) -> Context:
        context = true(*known)
        task = replace(known[0].task, circuit=undecayed)
        filters = task.time_filters(context.shape.log_steps)
        return replace(context, time_filters=filters)

    with everywhere(proofs, "context_of", lie):
        proof = attempt.prove()
    check = "operations.accumulate.Accumulate.verify: does not match"
    refused_by(check, lambda: attempt.verify(proof))


@pytest.mark.parametrize("name", FROZEN)
def test_garbage_in_the_place_of_a_hiding_proof(name: str) -> None:
    """Checks wait for the end, so every relation is walked through with meaningless values; the
    prefix up to the work is that of a true proof. Only errors of zktrain come out."""
    attempt = Attempt(name, steps=3, hiding=True, frozen=FROZEN[name])
    proof = attempt.prove()
    rng = np.random.default_rng(1)
    for kept in (0, 32, 64, 72, 4096):
        words = rng.integers(0, 1 << 62, len(proof) // 8 + 1, dtype=np.uint64).tobytes()
        garbage = proof[:kept] + words[: len(proof) - kept]
        with pytest.raises(ZktrainError):
            attempt.verify(garbage)
