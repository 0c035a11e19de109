"""The choice of a device: refused in one sentence before any work, or kept to the block."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from numba import cuda

import zktrain
from zktrain.errors import InputError
from zktrain.prover.kernels import device
from zktrain.prover.kernels.device import kernels_on, require_device, twin, with_twin
from zktrain.prover.kernels.field import fold

without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")


@without_cuda
@pytest.mark.parametrize("name", ["cuda", "cuda:1", "nowhere", ""])
def test_a_missing_device_is_refused_before_any_work(name: str, tmp_path: Path) -> None:
    refusal = rf"the device '{name}' cannot be used here \(.+\); use cpu: the result is the same"
    with pytest.raises(InputError, match=refusal):
        zktrain.prove(tmp_path / "no run", device=name)
    with pytest.raises(InputError, match=refusal):
        zktrain.train(tmp_path / "no recipe", data="digits", out=tmp_path / "run", device=name)
    assert list(tmp_path.iterdir()) == []


def test_a_device_of_torch_alone_does_not_do_for_proving(monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = torch.zeros
    monkeypatch.setattr(torch, "zeros", lambda *shape, device, **kind: zeros(*shape, **kind))
    monkeypatch.setattr(cuda, "is_available", lambda: False)
    require_device("cuda:0")
    with pytest.raises(InputError, match=r"numba finds no CUDA device.*zktrain\[cuda\]"):
        require_device("cuda:0", kernels=True)
    chosen: list[int] = []
    monkeypatch.setattr(cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda, "select_device", chosen.append)
    require_device("cuda", kernels=True)
    require_device("cuda:3", kernels=True)
    assert chosen == [0, 3]


def test_twins_run_inside_the_block_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "twin", lambda function: lambda value: ("twin", value))
    kernel = with_twin(lambda value: ("cpu", value))
    assert kernel(1) == ("cpu", 1)
    with pytest.raises(KeyError), kernels_on("cuda:0"):
        assert kernel(2) == ("twin", 2)
        with kernels_on("cpu"):
            assert kernel(3) == ("cpu", 3)
        assert kernel(4) == ("twin", 4)
        raise KeyError
    assert kernel(5) == ("cpu", 5)


def test_the_twin_has_the_name_and_module_of_the_kernel() -> None:
    found = twin(fold)
    assert (found.__module__, found.__name__) == ("zktrain.prover.kernels.cuda.field", "fold")
