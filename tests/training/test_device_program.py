"""The steps as a device program: everything exists on a CUDA device, nothing leaves it or waits
for it, and no address changes, so that a step can be captured as a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from conv_networks import NETWORKS
from filter_oracle import filtered, stated
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from training_oracle import circuit_of

from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initial import seeded_weights
from zktrain.circuit.initialisation import Initialisation
from zktrain.dataset.readers import Records
from zktrain.operations.fixed_point import FixedPoint
from zktrain.optimizers.sgd import Sgd
from zktrain.scratch import IN_MEMORY
from zktrain.training import graph as graph_module
from zktrain.training import trajectory as trajectory_module
from zktrain.training.arithmetic import Softmax
from zktrain.training.graph import Repeated
from zktrain.training.interpreter import column_of
from zktrain.training.past import Past
from zktrain.training.trajectory import Trajectory
from zktrain.training.witness import Traces

# With an index, for which torch need not ask what the current device is.
DEVICE = torch.device("cuda:0")
CIRCUITS = [
    circuit_of(6, 5, 3, steps=40),
    circuit_of(7, 9, 6, 4, batch=8, loss="mse", steps=40),
    circuit_of(5, 6, 2, loss="mse", bias=False, batch=1, steps=40),
    circuit_of(5, 7, 600, steps=40),  # the normaliser is searched
    *(
        Circuit(layers, "cross_entropy", FixedPoint(), 3, 40, Sgd(((0, 1),)), "order",
                Initialisation("seed", "s"))
        for layers in (NETWORKS["strided"], NETWORKS["residual"])
    ),
]  # fmt: skip
REMEMBERING = [
    filtered(circuit, stated(0.9, 1e-3, nesterov=True, restart_steps=32))
    for circuit in (CIRCUITS[0], CIRCUITS[4])
]
ALL = CIRCUITS + REMEMBERING


@pytest.fixture(autouse=True)
def _copy_without_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a torch without CUDA the method asks for the device's guard before it dispatches."""

    def copy(target: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        copied: torch.Tensor = torch.ops.aten.copy_(target, source)
        return copied

    monkeypatch.setattr(torch.Tensor, "copy_", copy)
    column_of.cache_clear()


class _OnDevice(TorchDispatchMode):
    """Counts operations and refuses those that read or write another device's tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.operations += 1
        for value in tree_leaves((args, kwargs, result)):
            if isinstance(value, torch.Tensor) and value.device.type != "cuda":
                raise AssertionError(f"{func} touches a tensor on {value.device}")
        return result


@pytest.mark.parametrize(
    "circuit", [*CIRCUITS, *REMEMBERING], ids=range(len(CIRCUITS + REMEMBERING))
)
def test_every_operation_of_a_window_and_its_record_stays_on_the_device(circuit: Circuit) -> None:
    outputs: list[Traces] = []
    with FakeTensorMode():
        run = _on_device(circuit)
        outputs.append(Traces(circuit, 64, DEVICE, IN_MEMORY))
        window = next(run._batches(0, 16))
        if circuit.optimizer.remembers:
            run._past = Past(run._rules, run._weights, run._inputs)
            run._past.seek(0)
            run._past.prepare(19)
        program = run._prepared()
        run._step = program.run  # type: ignore[assignment]
        with _OnDevice() as seen:
            run._issue(program, window, outputs[0].record, 0)
            run._issue(program, window.part(0, 3), outputs[0].record, 16)
    assert seen.operations > 20 * 19
    assert all(cells.device.type == "cuda" for cells in outputs[0].staged.values())


def test_records_land_in_memory_that_is_used_again() -> None:
    circuit = CIRCUITS[0]
    straight, landed = (Traces(circuit, 64, "cpu", IN_MEMORY) for _ in range(2))
    real = landed._real
    landed.staged = {
        name: torch.empty((32, *cells.shape[1:]), dtype=cells.dtype) for name, cells in real.items()
    }
    most = max(staged.nbytes for staged in landed.staged.values())
    landed.landing = torch.empty(most, dtype=torch.uint8)
    trajectory = Trajectory(circuit, _records(circuit), seeded_weights(circuit))

    def record(cells: Callable[[str], torch.Tensor], step: int) -> None:
        straight.record(cells, step)
        landed.record(cells, step)

    trajectory.advance(0, 37, recorder=record)
    landed.fetch()
    assert any(array.any() for array in straight.arrays.values())
    for name, array in straight.arrays.items():
        assert np.array_equal(array, landed.arrays[name])


def _on_device(circuit: Circuit) -> Trajectory:
    """With records and weights of zeros, whatever they are said to be."""
    run = Trajectory(circuit, _records(circuit), seeded_weights(circuit))
    for attribute, value in vars(run).items():
        if isinstance(value, torch.Tensor):
            setattr(run, attribute, torch.zeros(value.shape, dtype=value.dtype).to(DEVICE))
        elif isinstance(value, dict):
            setattr(run, attribute, {k: torch.zeros(v.shape).double().to(DEVICE)
                                     for k, v in value.items()})  # fmt: skip
    run._softmax = Softmax(circuit.classes, DEVICE)
    return run


def test_the_guard_notices_the_host_and_waiting_for_it() -> None:
    with FakeTensorMode():
        values = torch.zeros(3, dtype=torch.float64).to(DEVICE)
        with _OnDevice(), pytest.raises(AssertionError, match="on cpu"):
            values.cpu()
        for wait in (lambda: values.sum().item(), lambda: bool(values.sum() > 0)):
            with _OnDevice(), pytest.raises(Exception, match=r"local_scalar_dense|data-dependent"):
                wait()


def _records(circuit: Circuit) -> Records:
    generator = np.random.default_rng(3)
    inputs = generator.integers(0, 256, (17, circuit.features), dtype=np.uint8)
    labels = generator.integers(0, circuit.classes, 17).astype(np.uint16)
    return Records(inputs, labels, circuit.classes, "random")


@pytest.mark.parametrize("circuit", CIRCUITS, ids=range(len(CIRCUITS)))
def test_steps_are_the_same_operations_at_the_same_addresses(circuit: Circuit) -> None:
    """What is not an address of the buffers is a new tensor of the program itself."""
    run = Trajectory(circuit, _records(circuit), seeded_weights(circuit))
    run.advance(0, 16)  # products that need it have finer bounds from here on
    program = run._prepared()
    known = _storages(run)
    steps: list[list[tuple[Any, ...]]] = []

    class Addresses(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            owned = [
                (*known[tensor.untyped_storage().data_ptr()], tensor.storage_offset())
                for tensor in tree_leaves((args, kwargs, result))
                if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().data_ptr() in known
            ]
            scalars = [
                value for value in tree_leaves((args, kwargs)) if type(value) in (int, float)
            ]
            steps[-1].append((func, owned, scalars))
            return result

    def step() -> None:
        steps.append([])
        with Addresses():
            program.run()

    run._step = Repeated(step, torch.device("cpu"))
    run.advance(16, 24)
    assert len(steps) == 24 and all(other == steps[0] for other in steps)
    assert _storages(run) == known
    assert len({name for _, owned, _ in steps[0] for name, _ in owned}) > 15


def _storages(run: Trajectory) -> dict[int, tuple[str]]:
    """Names of all tensors of a trajectory and its program, by address."""
    found: dict[int, tuple[str]] = {}
    program = run._prepared()
    owners = (run, program, program._tape, program._products, program._rescales, program.figures)
    for owner in owners:
        for attribute, value in vars(owner).items():
            for position, tensor in enumerate(tree_leaves(value)):
                if isinstance(tensor, torch.Tensor):
                    address = tensor.untyped_storage().data_ptr()
                    found.setdefault(address, (f"{attribute}.{position}",))
    return found


class _Replayed:
    """In the place of ``Repeated``: as a graph, which knows what ``run`` asks of the device and
    nothing else that it does."""

    def __init__(self, program: Callable[[], None], device: torch.device) -> None:
        self._operations = program.__self__._tape.operations  # type: ignore[attr-defined]

    def __call__(self) -> None:
        for operation in self._operations:
            operation()


@pytest.mark.parametrize("circuit", [circuit_of(5, 4, steps=40), *ALL], ids=range(1 + len(ALL)))
def test_a_replayed_step_is_recorded_as_by_the_interpreter(
    circuit: Circuit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one has a single rescale, whose limbs are read twice in a row."""
    found = []
    monkeypatch.setattr(trajectory_module, "Repeated", _Replayed)
    for made in (Trajectory.attempt, lambda *_: []):  # with the latter all steps are careful
        monkeypatch.setattr(Trajectory, "attempt", made)
        traces = Traces(circuit, 64, "cpu", IN_MEMORY)
        run = Trajectory(circuit, _records(circuit), seeded_weights(circuit))
        run.advance(0, 21, recorder=traces.record)
        found.append(traces.arrays)
    assert any(name.endswith("low") and array.any() for name, array in found[0].items())
    for name, array in found[0].items():
        assert np.array_equal(array, found[1][name]), name


def test_a_program_is_captured_once_and_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call runs, the second captures and replays, later ones replay."""
    events: list[str] = []

    class Graph:
        def replay(self) -> None:
            events.append("replay")

    @contextmanager
    def capture(graph: Graph) -> Iterator[None]:
        events.append("capture")
        yield

    monkeypatch.setattr(graph_module.torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(graph_module.torch.cuda, "graph", capture)
    program = Repeated(lambda: events.append("run"), torch.device("cuda"))
    for _ in range(4):
        program()
    assert events == ["run", "capture", "run", "replay", "replay", "replay"]
