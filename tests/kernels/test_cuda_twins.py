"""The twins for CUDA devices without one: as Python, as numba compiles them, and compiled for a
GPU; and on a device, where there is one. numba decides when it is imported where kernels run, hence
the processes."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from zktrain.prover.kernels.device import has_cuda

HERE = Path(__file__).parent
FAMILIES = ["scalar_functions", "transforms", "folds", "round_messages", "unwritten_leaves"]
FAMILIES += [
    "sums_at_points",
    "unwritten_parents",
    "layers",
    "layer_rounds",
    "leaf_hashes",
    "large_work",
]
PROVING = {
    *("field.fold", "fractions.combine", "fractions.round_sums", "grids.grid"),
    *("grids.fold_quads", "ntt.transform", "sha256.hash_rows", "sumcheck.round_message"),
}
"""All but the leaves that a run so small writes."""
on_a_device = pytest.mark.skipif(not has_cuda(), reason="numba finds no CUDA device")


def run(
    *scripts: str, simulated: bool = False, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the first script, which may run the second; they can import what tests share."""
    shared = [str(HERE.parent / "field"), str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    path = [folder for folder in shared if folder]
    environment = {
        **os.environ,
        **variables,
        "NUMBA_ENABLE_CUDASIM": "1" if simulated else "0",
        "PYTHONPATH": os.pathsep.join(path),
    }
    return subprocess.run(
        [sys.executable, *(str(HERE / script) for script in scripts)],
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.skipif(find_spec("numba.cuda") is None, reason="this numba has no CUDA simulator")
def test_twins_in_the_simulator() -> None:
    done = run("cuda_twins.py", simulated=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[::2] == FAMILIES


@on_a_device
def test_twins_on_a_device() -> None:
    """In large blocks, then in small ones."""
    done = run("cuda_twins.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[::2] == 2 * FAMILIES


@on_a_device
def test_a_proof_through_twins_on_a_device_has_the_same_bytes() -> None:
    assert twins_used(run("prove_with_twins.py")) == PROVING


@pytest.mark.slow("compiles every twin, and proves with them")
def test_twins_as_numba_compiles_them() -> None:
    done = run("one_thread_device.py", "cuda_twins.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[::2] == FAMILIES


def twins_used(done: subprocess.CompletedProcess[str]) -> set[str]:
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split()[::2])


@pytest.mark.slow("compiles every twin, and proves with them")
def test_a_proof_through_compiled_twins_has_the_same_bytes() -> None:
    assert twins_used(run("one_thread_device.py", "prove_with_twins.py")) == PROVING


@pytest.mark.slow("compiles every twin, and proves with them")
@pytest.mark.skipif(find_spec("numba.cuda") is None, reason="this numba has no CUDA simulator")
def test_a_proof_through_simulated_twins_has_the_same_bytes() -> None:
    """Larger work than 20 cells is done by the CPU's kernels: the simulator is slow."""
    done = run("prove_with_twins.py", simulated=True, LIMIT="20")
    assert twins_used(done) == PROVING - {"grids.fold_quads", "grids.grid", "ntt.transform"}


def test_twins_compile_for_a_gpu() -> None:
    if find_spec("numba_cuda") is None:
        pytest.skip("numba-cuda is not installed: install zktrain[cuda]")
    done = run("compile_twins.py")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 17
