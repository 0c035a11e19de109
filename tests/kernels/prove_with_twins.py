"""Run by ``test_cuda_twins``: a tiny proof through the twins has the bytes of the CPU's.

``LIMIT``, a number of array cells, sends larger work to the CPU: the simulator would take hours.
Prints the twins that were used."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tiny_run import make_bundle

import zktrain
from zktrain.prover.kernels import device
from zktrain.prover.kernels.cuda import grid, scalars
from zktrain.prover.kernels.unwritten import Leaves, Parents

LIMIT = int(os.environ.get("LIMIT", 1 << 40))
used: dict[str, int] = {}


def cells(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return value.size
    if isinstance(value, Leaves | Parents):
        return 4 * value.pairs
    return sum(map(cells, value)) if isinstance(value, tuple) else 0


def limited(find: Callable[..., Any]) -> Callable[..., Any]:
    """Twins of small work, the CPU's functions for the rest."""

    def twin(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            if cells(args) > LIMIT:
                return function(*args)
            name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
            used[name] = used.get(name, 0) + 1
            return find(function)(*args)

        return run

    return twin


def on_cuda(choose: Callable[[str], AbstractContextManager[None]]) -> Callable[..., Any]:
    return lambda _: choose("cuda")


if __name__ == "__main__":
    warnings.filterwarnings("ignore", "overflow encountered", RuntimeWarning)  # words wrap
    if not device.has_cuda():
        grid.BLOCK, grid.MOST_THREADS = (2, 4) if scalars.SIMULATED else (1, 1)
    with tempfile.TemporaryDirectory() as name:
        bundle = make_bundle(Path(name))
        prove = partial(zktrain.prove, bundle.run, zero_knowledge=False)
        plain = prove(out=Path(name) / "plain").path.read_bytes()
        device.twin = limited(device.twin)
        device.kernels_on = on_cuda(device.kernels_on)
        twins = prove(out=Path(name) / "twins").path.read_bytes()
        zktrain.verify(bundle.weights, proof=bundle.proof, dataset=bundle.dataset)
    if twins != plain:
        sys.exit("the proofs differ")
    for found, times in sorted(used.items()):
        print(found, times)
