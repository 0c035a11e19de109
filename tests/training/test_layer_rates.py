"""Learning rates of single layers: recipe, text, training beside torch's parameter groups, and
provers who use the rates of another layer."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from oracle import honest
from oracle.circuits import Case
from oracle.interpreter import Interpreter, seeded
from tiny_run import write_recipe
from training_oracle import circuit_of

from zktrain.circuit.canonical import violation
from zktrain.circuit.circuit import Circuit
from zktrain.circuit.compile import Compiled, compile_recipe
from zktrain.circuit.initial import seeded_weights
from zktrain.circuit.order import batch_indices
from zktrain.cli import wording
from zktrain.dataset.readers import Records
from zktrain.errors import MalformedProof, RecipeError, SumcheckMismatch
from zktrain.optimizers.filtered_sgd import FilteredSgd
from zktrain.optimizers.layer_rates import LayerRates
from zktrain.optimizers.sgd import Sgd
from zktrain.training.float_network import float_network
from zktrain.training.trainer import float_optimizer, set_rates, train, train_float32
from zktrain.training.trajectory import Trajectory

SIZES = (6, 5, 4, 3)
OWN = {"fc1": ((0, 24), (5, 9)), "fc3": ((0, 6),)}
BASE = ((0, 12), (3, 20))


def layered(kind: str, steps: int = 7, **own: tuple[tuple[int, int], ...]) -> Circuit:
    """6-5-4-3 with rates of their own for two layers, or for those named."""
    circuit = circuit_of(*SIZES, batch=4, steps=steps, multipliers=BASE)
    stated = tuple((own or OWN).items())
    if kind == "plain":
        return replace(circuit, optimizer=LayerRates(Sgd(BASE), stated))
    decay = 1 << 30 if kind == "decay" else 0
    base = FilteredSgd(_finer(BASE), 3 << 38, kind == "decay", decay, 8)
    finer = tuple((name, _finer(schedule)) for name, schedule in stated)
    return replace(circuit, fixed_point=FilteredSgd.FORMAT, optimizer=LayerRates(base, finer))


def _finer(schedule: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    return tuple((first, m << 20) for first, m in schedule)


def records() -> Records:
    random = np.random.default_rng(3)
    inputs = random.integers(0, 256, (16, SIZES[0]), dtype=np.uint8)
    return Records(inputs, random.integers(0, SIZES[-1], 16).astype(np.uint8), SIZES[-1], "tests")


KINDS = ("plain", "momentum", "decay")


def _torch(circuit: Circuit, network: torch.nn.Module) -> list[float]:
    """torch's parameter groups as a user writes them; the losses."""
    stated = circuit.optimizer
    options = stated.torch_options
    own = dict(stated.own)
    groups = [
        {"params": list(module.parameters()), "rates": own.get(layer.name, stated.multipliers)}
        for layer, module in zip(circuit.layers, network.steps, strict=True)  # type: ignore[call-overload]
    ]
    optimizer = torch.optim.SGD(groups, lr=1.0, **options)
    unit = circuit.batch_size / (1 << (10 if not options else 32))
    data, losses = records(), []
    for step, rows in enumerate(batch_indices("order", 16, circuit.batch_size, 0, circuit.steps)):
        for group in optimizer.param_groups:
            group["lr"] = unit * [m for first, m in group["rates"] if first <= step][-1]
        optimizer.zero_grad()
        inputs = torch.from_numpy(data.inputs[rows]).to(next(network.parameters()).dtype) / 256
        labels = torch.from_numpy(data.labels[rows].astype(np.int64))
        loss = torch.nn.functional.cross_entropy(network(inputs), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("kind", KINDS)
def test_integers_follow_parameter_groups(kind: str) -> None:
    """Every parameter ends nearer to that of torch in float64 than a fifth of its (short) way;
    with one rate for all layers some end farther off than that."""
    circuit = replace(layered(kind), steps=7)
    start = seeded_weights(circuit)
    bits = circuit.fixed_point.weight_bits
    network = float_network(circuit.layers, start, bits).to(torch.float64)
    _torch(circuit, network)
    expected = [p.detach().numpy() for p in network.parameters()]

    def far(run: Circuit) -> float:
        found = train(run, records(), start).weights
        return max(
            np.linalg.norm(v.T / 2**bits - e) / np.linalg.norm(start[name].T / 2**bits - e)
            for (name, v), e in zip(found.items(), expected, strict=True)
        )

    assert far(circuit) < 0.2
    assert far(replace(circuit, optimizer=circuit.optimizer.base)) > 1.5


@pytest.mark.parametrize("kind", KINDS)
def test_integers_are_those_of_the_oracle(kind: str) -> None:
    """Also where every step is checked at once."""
    circuit, data = layered(kind), records()
    run = Interpreter(circuit, data.inputs.tolist(), data.labels.tolist()).run(seeded(circuit))
    with mock.patch.object(Trajectory, "attempt", side_effect=lambda *_: []):
        careful = train(circuit, data, seeded_weights(circuit)).weights
    fast = train(circuit, data, seeded_weights(circuit)).weights
    assert honest.integers(fast) == honest.integers(careful) == run.boundaries[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_float_run_has_the_groups(kind: str) -> None:
    circuit = layered(kind)
    start, bits = seeded_weights(circuit), circuit.fixed_point.weight_bits
    compared = train_float32(circuit, records(), start)
    expected = _torch(circuit, float_network(circuit.layers, start, bits))
    assert [loss for _, loss in compared.losses] == pytest.approx(expected, rel=1e-5)
    network = float_network(circuit.layers, start, bits)
    optimizer = float_optimizer(circuit, network)
    set_rates(circuit, optimizer, 6)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert [rates[id(p)] for p in network.parameters()] == [
        m * 4 / (1024 if kind == "plain" else 4096) for m in (9, 9, 20, 20, 6, 6)
    ]


def test_layers_with_equal_rates_are_one_group() -> None:
    circuit = layered("plain", fc1=((0, 5),), fc3=((0, 5),))
    network = float_network(circuit.layers, seeded_weights(circuit), 32)
    assert [len(g["params"]) for g in float_optimizer(circuit, network).param_groups] == [4, 2]
    circuit = replace(layered("plain"), frozen=("fc2",))
    parameters = [p for g in float_optimizer(circuit, network).param_groups for p in g["params"]]
    assert len(parameters) == 4


# Provers


def _proved(circuit: Circuit, lie: Callable[..., Any] | None) -> None:
    """A run of two stretches by a prover who takes the rules of ``lie``, judged by a verifier who
    takes those of the circuit."""
    data = records()
    case = Case("", circuit, data.inputs.tolist(), data.labels.tolist(), seeded(circuit), False)
    patched = mock.patch.object(LayerRates, "of", lie or LayerRates.of)
    judge = honest._judge

    def judged(*arguments: Any) -> None:
        patched.stop()
        judge(*arguments)

    patched.start()
    try:
        ends = honest.trained(case)
        with mock.patch.object(honest, "_judge", judged):
            honest.prove_and_verify(case, ends)
    finally:
        patched.stop()


@pytest.mark.parametrize("kind", ["plain", "momentum"])
def test_honest_run_is_accepted(kind: str) -> None:
    _proved(layered(kind, 10), None)


@pytest.mark.parametrize("kind", ["plain", "momentum"])
@pytest.mark.parametrize("layer", ["fc1", "fc2", "fc3"])
def test_rates_of_another_layer_are_refused(kind: str, layer: str) -> None:
    """The last layer's for the first, the common ones for the last, the first one's for another."""
    circuit, true = layered(kind, 10), LayerRates.of
    other = {"fc1": "fc3", "fc2": "fc1", "fc3": "fc2"}[layer]

    def lie(self: LayerRates, run: Circuit, weight: str) -> Any:
        return true(self, run, f"{other}.weight" if weight == f"{layer}.weight" else weight)

    with pytest.raises(SumcheckMismatch, match=rf"the update of '{layer}\.weight'"):
        _proved(circuit, lie)


# Text


@pytest.mark.parametrize("kind", KINDS)
def test_text_is_canonical(kind: str) -> None:
    circuit = layered(kind)
    data = circuit.canonical_json()
    assert Circuit.from_json(data) == circuit
    stated = json.loads(data)["optimizer"]
    assert stated["kind"] == "layer_rates" and [name for name, _ in stated["own"]] == [*OWN]
    assert circuit.id != replace(circuit, optimizer=circuit.optimizer.base).id


def test_bound_of_a_weight_has_its_own_rates() -> None:
    small, large = (layered("plain", fc1=((0, m),)) for m in (1, 1 << 19))
    assert small.no_wrap_bound_bits < large.no_wrap_bound_bits


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no kind": (lambda o: o["base"].pop("kind"), "base is none of filtered_sgd, sgd"),
    "itself": (lambda o: o["base"].update(kind="layer_rates"), "base is none of"),
    "no list": (lambda o: o.update(own=[5]), "not a pair"),
    "three": (lambda o: o["own"][0].append(1), "not a pair"),
    "none": (lambda o: o.update(own=[]), "each once"),
    "no layer": (lambda o: o["own"][0].__setitem__(0, "fc9"), "each once"),
    "another order": (lambda o: o["own"].reverse(), "each once"),
    "twice": (lambda o: o["own"].append(o["own"][-1]), "each once"),
    "base": (lambda o: o["base"].update(multipliers=[[0, 0]]), "^multipliers must be"),
    "layer": (lambda o: o["own"][1].__setitem__(1, [[0, 0]]), "layer 'fc3', multipliers must"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_texts_are_refused(case: str) -> None:
    change, words = REFUSED[case]
    document = json.loads(layered("plain").canonical_json())
    change(document["optimizer"])
    text = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(MalformedProof, match=words):
        Circuit.from_json(text)


def test_frozen_layers_have_no_rates() -> None:
    assert "trained ones" in str(violation(replace(layered("plain"), frozen=("fc1",))))


def test_filters_of_all_layers_have_a_bound_together() -> None:
    """Each of three may have 2^22 changes, but not all of them."""
    circuit = layered("momentum", 8192)
    large = ((0, 60 << 20),)
    base = replace(circuit.optimizer.base, multipliers=large, momentum=1 << 39, restart_steps=8192)
    alone = replace(circuit, optimizer=base)
    assert violation(alone) is None
    same = replace(circuit, optimizer=LayerRates(base, (("fc1", large),)))
    assert violation(same) is None
    other = LayerRates(base, (("fc1", ((0, 61 << 20),)),))
    assert "2 kinds of rates" in str(violation(replace(circuit, optimizer=other)))


def test_changes_of_the_rates_of_all_layers_have_a_bound_together() -> None:
    """Under weight decay, gradients of earlier rates are followed: those of one filter may be."""
    circuit = layered("momentum", 10_000)
    often = tuple((step, 1000 + step // 1000) for step in range(0, 10_000, 1000))
    base = replace(
        circuit.optimizer.base, multipliers=often, weight_decay=1 << 24, restart_steps=1 << 14
    )
    alone = replace(circuit, optimizer=base)
    assert violation(alone) is None
    other = LayerRates(base, (("fc1", ((0, 999), *often[1:])),))
    assert "change too often" in str(violation(replace(circuit, optimizer=other)))


# Recipes


def compiled(folder: Path, rates: str) -> Compiled:
    recipe = write_recipe(folder)
    recipe.write_text(recipe.read_text().replace("[init]", f"{rates}\n[init]"))
    return compile_recipe(recipe)


def test_recipe(tmp_path: Path) -> None:
    names = [layer.name for layer in compiled(tmp_path, "").circuit.layers]
    found = compiled(
        tmp_path, f'momentum = 0.5\nrestart_steps = 4\n[training.rates]\n"{names[1]}" = 0.03125\n'
        f'"{names[0]}" = [[0, 0.25], [2, 0.0625]]',
    )  # fmt: skip
    circuit = found.circuit
    assert circuit.layer_rates == {names[0]: [(0, 0.25), (2, 0.0625)], names[1]: [(0, 0.03125)]}
    assert circuit.effective_learning_rate == [(0, 0.125)] and not found.changes
    assert wording.learning_rate(circuit) == (
        f"0.125; {names[0]}: 0.25 from step 0, 0.0625 from step 2, {names[1]}: 0.03125"
    )
    assert circuit.optimizer.words == "SGD with momentum 0.5"


def test_names_with_dots_need_no_quotes(tmp_path: Path) -> None:
    """TOML nests them, which means the same here."""
    plain = {"features.0": 0.5, "features.1": [[0, 0.25]]}
    nested = {"features": {"0": 0.5, "1": [[0, 0.25]]}}
    first, second = (LayerRates.from_recipe({"rates": rates}, 9) for rates in (plain, nested))
    assert first is not None and dict(first.own) == dict(second.own)  # type: ignore[union-attr]


def test_rates_that_are_rounded_are_told(tmp_path: Path) -> None:
    (name,) = [layer.name for layer in compiled(tmp_path, "").circuit.layers][:1]
    found = compiled(tmp_path, f'[training.rates]\n"{name}" = 0.0643')
    assert len(found.changes) == 1 and f"of layer {name!r} from step 0" in found.changes[0]


WRONG = {
    "rates = 0.5": "must be a section",
    "[training.rates]": "must be a section",
    '[training.rates]\n"fc9" = 0.5': "rates names 'fc9', which is no layer that is trained",
    '[training.rates]\n"NAME" = -1': r"training\.rates\.NAME = -1 must be a positive number",
    '[training.rates]\n"NAME" = {}': r"training\.rates\.NAME = {} must be a positive number",
    '[training.rates]\n"NAME" = [[0, 0.5], [100000, 0.1]]': "is never reached",
    '[training.rates]\n"NAME" = 0.00001': r"training\.rates\.NAME = 1e-05 cannot be represented",
    'frozen = ["NAME"]\n[training.rates]\n"NAME" = 0.5': "is no layer that is trained",
    '[training.rates]\na.b = 0.5\n"a.b" = 0.5': "names 'a.b' twice",
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_rates(tmp_path: Path, text: str) -> None:
    name = compiled(tmp_path, "").circuit.layers[0].name
    with pytest.raises(RecipeError, match=WRONG[text].replace("NAME", name)):
        compiled(tmp_path, text.replace("NAME", name))
