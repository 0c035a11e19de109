"""Momentum, weight decay and last batches in recipes: what is read, printed and refused."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from circuit_networks import save_onnx, two_layer_nodes, two_layers

from zktrain.circuit.circuit import Circuit
from zktrain.circuit.compile import compile_recipe, initial_weights
from zktrain.cli import wording
from zktrain.errors import RecipeError
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers.filtered_sgd import AskedFilter, FilteredSgd
from zktrain.optimizers.sgd import Sgd
from zktrain.training.weight_file import write_weights

PLAIN = """\
[model]
onnx = "net.onnx"
[training]
loss = "cross_entropy"
optimizer = "sgd"
learning_rate = [[0, 0.25], [5, 0.1]]
batch_size = 8
steps = 20
order_seed = "order"
{training}
[init]
{init}
[proof]
{proof}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_onnx(tmp_path / "net.onnx", two_layer_nodes(), two_layers())
    return tmp_path


def compiled(
    folder: Path, training: str = "", init: str = 'seed = "weights"', proof: str = ""
) -> Circuit:
    path = folder / "recipe.toml"
    path.write_text(PLAIN.format(training=training, init=init, proof=proof))
    return compile_recipe(path).circuit


ALL = 'momentum = 0.9\nnesterov = true\nweight_decay = 5e-4\nlast_batch = "drop"'


def test_all_keys(folder: Path) -> None:
    circuit = compiled(folder, ALL)
    unit = 1 << 40
    assert circuit.optimizer == FilteredSgd(
        circuit.optimizer.multipliers, round(0.9 * unit), True, round(5e-4 * unit), 32
    )
    assert circuit.drop_last
    assert circuit.fixed_point == FilteredSgd.FORMAT == FixedPoint(8, 14, 12)
    assert circuit.optimizer.multipliers == ((0, 1 << 27), (5, round(Fraction(0.1) * (1 << 29))))
    rates = circuit.effective_learning_rate
    assert rates[0] == (0, 0.25) and abs(rates[1][1] - 0.1) < 1e-8


def test_plain_recipes_compile_to_what_they_were(folder: Path) -> None:
    plain = compiled(folder)
    for same in ("momentum = 0", "momentum = 0.0\nweight_decay = 0", 'last_batch = "wrap"'):
        assert compiled(folder, same) == plain
    assert isinstance(plain.optimizer, Sgd)
    assert compiled(folder, "nesterov = false").id == plain.id


@pytest.mark.parametrize(
    ("training", "restart"),
    [
        ("momentum = 0.9", 32),
        ("momentum = 0.9\nrestart_steps = 8", 8),
        ("momentum = 0.9\nrestart_steps = 1024", 32),
        ("weight_decay = 1e-3", 32),
    ],
)
def test_velocities_last_for_the_whole_run_unless_told(
    folder: Path, training: str, restart: int
) -> None:
    circuit = compiled(folder, training)
    assert circuit.optimizer.restart_steps == restart


@pytest.mark.parametrize(
    ("training", "proof", "words"),
    [
        ("momentum = 1", "", "training.momentum = 1 must be a number from 0 to below 1"),
        ("momentum = -0.1", "", "from 0 to below 1"),
        ('momentum = "0.9"', "", "from 0 to below 1"),
        ("momentum = nan", "", "from 0 to below 1"),
        ("momentum = true", "", "from 0 to below 1"),
        ("momentum = 0.9999", "", "training.momentum = 0.9999 is too close to 1"),
        ("weight_decay = 1", "", "training.weight_decay = 1 must be"),
        ("weight_decay = inf", "", "training.weight_decay = inf must be"),
        ("momentun = 0.9", "", "did you mean momentum"),
        ("weight_decays = 0.9", "", "did you mean weight_decay"),
        ("nesterov = true", "", "needs training.momentum above 0"),
        ("nesterov = 1\nmomentum = 0.9", "", "nesterov = 1 must be true or false"),
        ("restart_steps = 8", "", "plain SGD has neither"),
        ("momentum = 0.9\nrestart_steps = 12", "", "must be a power of two: use 8 or 16"),
        ("momentum = 0.9\nrestart_steps = 0", "", "must be a whole number"),
        ('last_batch = "drops"', "", "did you mean drop"),
        ("last_batch = true", "", 'must be "wrap" or "drop"'),
        ("weight_decay = 1e-3\nrestart_steps = 8", "", "weight_decay cannot begin anew"),
        ("momentum = 0.99\nweight_decay = 0.1", "", "beyond which weights oscillate"),
    ],
    ids=range(19),
)
def test_mistakes_are_named(folder: Path, training: str, proof: str, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        compiled(folder, training, proof=proof)
    assert words in str(caught.value)


def test_keys_in_another_section_are_sent_home(folder: Path) -> None:
    with pytest.raises(RecipeError, match=r"it belongs in section \[training\]"):
        compiled(folder, proof="momentum = 0.9")


def test_long_runs_do_not_begin_anew(folder: Path) -> None:
    path = folder / "recipe.toml"
    text = PLAIN.format(training="momentum = 0.9", init='seed = "w"', proof="")
    text = re.sub("learning_rate = .*", "learning_rate = 0.001", text)
    path.write_text(text.replace("steps = 20", "steps = 9000"))
    assert compile_recipe(path).circuit.optimizer.restart_steps == 1 << 14
    path.write_text(text.replace("steps = 20", "steps = 140_000"))
    with pytest.raises(RecipeError, match="restart_steps must be a power of two up to 131072"):
        compile_recipe(path)
    path.write_text(
        path.read_text().replace("momentum = 0.9", "momentum = 0.9\nrestart_steps = 512")
    )
    circuit = compile_recipe(path).circuit
    assert circuit.optimizer.restart_steps == 512


@pytest.mark.parametrize("rate", [1e-6, 1e7])
def test_rates_out_of_reach(rate: float) -> None:
    asked = AskedFilter(0.9, False, 0.0, 32)
    with pytest.raises(RecipeError, match=r"with batch_size = 64 and momentum = 0.9 rates go from"):
        asked.quantised(((0, rate),), 64, ())


def test_rates_are_used_as_they_are_asked_for() -> None:
    """To a millionth, from the least one on: the filter rounds, not the rate."""
    asked = AskedFilter(0.9, False, 0.0, 32)
    least = 0.125 * 64 / 4096 * 0.1
    for rate in (least * 1.000001, 0.001, 0.05, 0.1, 1.0, 100.0):
        ((_, multiplier),) = asked.quantised(((0, rate),), 64, ()).multipliers
        assert abs(multiplier * 64 / 2**32 / rate - 1) < 1e-4 if rate < 0.001 else 1e-6


def test_network_files_are_rounded_to_multiples_under_weight_decay(folder: Path) -> None:
    for training, unit in (("momentum = 0.9", 1), ("weight_decay = 1e-3", 4096)):
        path = folder / "recipe.toml"
        path.write_text(PLAIN.format(training=training, init="onnx = true", proof=""))
        made = compile_recipe(path)
        weights = initial_weights(made)
        floats = made.initial_float
        assert floats is not None
        for name, values in weights.items():
            assert (values % unit == 0).all()
            scaled = floats[name].T.reshape(values.shape) * 2.0**34
            assert np.abs(values - scaled).max() <= unit / 2
        if unit > 1:
            assert made.circuit.initialisation.kind == "file"


def test_weight_files_must_hold_multiples_under_weight_decay(folder: Path) -> None:
    seeded = compiled(folder, "weight_decay = 1e-3")
    path = folder / "recipe.toml"
    weights = initial_weights(compile_recipe(path))
    write_weights(folder / "good.safetensors", weights, 34, {})
    first = next(iter(weights))
    weights[first].reshape(-1)[3] += 1
    write_weights(folder / "odd.safetensors", weights, 34, {})
    good = compiled(folder, "weight_decay = 1e-3", 'weights = "good.safetensors"')
    assert good.initialisation.kind == "file" and good.optimizer == seeded.optimizer
    with pytest.raises(RecipeError, match=r"no multiple of 2\^-22, as first weights under"):
        compiled(folder, "weight_decay = 1e-3", 'weights = "odd.safetensors"')
    compiled(folder, "momentum = 0.9", 'weights = "odd.safetensors"')


def test_words(folder: Path) -> None:
    """What ``compile``, ``verify`` and ``inspect`` say of an optimizer."""
    circuit = compiled(folder, ALL)
    said = "SGD with momentum about 0.9 (Nesterov), weight decay about 0.0005"
    assert circuit.optimizer.words == said
    assert wording.learning_rate(circuit) == "0.25 from step 0, about 0.1 from step 5"
    assert circuit.optimizer.stretch_words(circuit) == ", in one stretch of up to 32 steps"
    assert wording.order(circuit).endswith('"order", incomplete last batches left out')
    short = compiled(folder, "momentum = 0.9\nrestart_steps = 8")
    assert short.optimizer.words == "SGD with momentum about 0.9"
    assert short.optimizer.stretch_words(short) == ", velocity zero again every 8 steps"
    assert short.optimizer.fields()["restart_steps"] == 8
    plain = compiled(folder)
    assert (plain.optimizer.words, plain.optimizer.stretch_words(plain)) == ("SGD", "")
    assert plain.optimizer.fields() == {}
