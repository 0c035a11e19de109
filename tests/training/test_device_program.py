"""The steps as a device program: everything exists on a CUDA device, nothing leaves it or waits
for it, and no address changes, so that a window can be captured as a graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from training_oracle import circuit_of

from zktrain.circuit.circuit import Circuit
from zktrain.circuit.initial import seeded_weights
from zktrain.dataset.readers import Records
from zktrain.training import graph as graph_module
from zktrain.training.arithmetic_fast import FastArithmetic
from zktrain.training.graph import Repeated
from zktrain.training.step import Network
from zktrain.training.trajectory import Trajectory
from zktrain.training.window import Window
from zktrain.training.witness import _Outputs

# With an index, for which torch need not ask what the current device is.
DEVICE = torch.device("cuda:0")
CIRCUITS = [
    circuit_of(6, 5, 3, steps=40),
    circuit_of(7, 9, 6, 4, batch=8, loss="mse", steps=40),
    circuit_of(5, 6, 2, loss="mse", bias=False, batch=1, steps=40),
    circuit_of(5, 7, 600, steps=40),  # the normaliser is searched
]


@pytest.fixture(autouse=True)
def _copy_without_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a torch without CUDA the method asks for the device's guard before it dispatches."""

    def copy(target: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        copied: torch.Tensor = torch.ops.aten.copy_(target, source)
        return copied

    monkeypatch.setattr(torch.Tensor, "copy_", copy)


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


def _device_program(circuit: Circuit) -> tuple[FastArithmetic, Window, _Outputs]:
    inputs = torch.zeros(17, circuit.features, dtype=torch.uint8).to(DEVICE)
    labels = torch.zeros(17, dtype=torch.int64).to(DEVICE)
    start = {
        name: torch.zeros(values.shape, dtype=torch.int64)
        for name, values in seeded_weights(circuit).items()
    }
    window = Window(circuit, inputs, labels)
    fast = FastArithmetic(Network(circuit, start, DEVICE), window)
    return fast, window, _Outputs(circuit, 64, DEVICE)


@pytest.mark.parametrize("circuit", CIRCUITS, ids=range(len(CIRCUITS)))
def test_every_operation_of_a_window_and_its_record_stays_on_the_device(circuit: Circuit) -> None:
    with FakeTensorMode():
        fast, window, outputs = _device_program(circuit)
        with _OnDevice() as seen:
            fast.run(window.length)
            fast.run(3)
            outputs.record(window, window.length, 7)
    steps = window.length + 3
    assert seen.operations > 20 * steps
    assert all(cells.device.type == "cuda" for cells in outputs.tensors.values())


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
def test_windows_run_the_same_operations_at_the_same_addresses(circuit: Circuit) -> None:
    """What is not an address of the buffers is a new tensor of the program itself."""
    trajectory = Trajectory(circuit, _records(circuit), seeded_weights(circuit))
    runs: list[list[tuple[Any, ...]]] = []

    class Addresses(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            owned = [
                known[tensor.untyped_storage().data_ptr()] + (tensor.storage_offset(),)
                for tensor in tree_leaves((args, kwargs, result))
                if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().data_ptr() in known
            ]
            scalars = [
                value for value in tree_leaves((args, kwargs)) if type(value) in (int, float)
            ]
            runs[-1].append((func, owned, scalars))
            return result

    known = _storages(trajectory)

    def program() -> None:
        runs.append([])
        with Addresses():
            trajectory._fast.run(trajectory._window.length)

    trajectory._whole = Repeated(program, torch.device("cpu"))
    trajectory.advance(0, 2 * trajectory._window.length)
    assert len(runs) == 2 and runs[0] == runs[1]
    assert _storages(trajectory) == known
    assert len({name for _, owned, _ in runs[0] for name, _ in owned}) > 15


def _storages(trajectory: Trajectory) -> dict[int, tuple[str]]:
    """Names of all tensors of the network, the window and the arithmetic, by address."""
    found: dict[int, tuple[str]] = {}
    for owner in (trajectory.network, trajectory._window, trajectory._fast):
        for attribute, value in vars(owner).items():
            for position, tensor in enumerate(tree_leaves(value)):
                if isinstance(tensor, torch.Tensor):
                    address = tensor.untyped_storage().data_ptr()
                    found.setdefault(address, (f"{attribute}.{position}",))
    return found


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
