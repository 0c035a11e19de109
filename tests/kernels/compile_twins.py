"""Run by ``test_cuda_twins``: compiles every twin for a GPU that need not be there."""

from __future__ import annotations

from types import SimpleNamespace

from numba import cuda, types
from numba.cuda import dispatcher

from zktrain.prover.kernels.cuda import (
    field,
    fractions,
    grid,
    grids,
    ntt,
    sha256,
    sumcheck,
    unwritten,
)

CAPABILITY = (8, 0)
WORDS = types.Array(types.uint64, 1, "C")
ROWS = types.Array(types.uint64, 2, "C")
STACK = types.Array(types.uint64, 3, "C")
COLUMN = types.Array(types.int16, 1, "C")
HALVES = types.Array(types.uint32, 1, "C")
INT, WORD = types.int64, types.uint64

SIGNATURES = {
    field._fold: (ROWS, WORD, WORD, ROWS),
    ntt._layer: (ROWS, INT, INT, WORDS),
    grid._gather: (ROWS, INT, ROWS),
    sumcheck._round2: (ROWS, ROWS, ROWS),
    sumcheck._round3: (ROWS, ROWS, ROWS, ROWS),
    unwritten._set: (WORD, WORD, INT, INT, ROWS, ROWS),
    unwritten._subtract: (COLUMN, WORD, WORD, INT, ROWS, ROWS),
    unwritten._add_scaled: (ROWS, ROWS, WORD, WORD, INT),
    unwritten.parents: (ROWS, ROWS, ROWS, ROWS, INT, ROWS),
    unwritten._parents_of_ones: (ROWS, ROWS, ROWS),
    unwritten._split: (ROWS, ROWS, ROWS),
    fractions._round: (ROWS, ROWS, ROWS, ROWS, INT, ROWS, ROWS, INT, ROWS),
    fractions._round_of_units: (ROWS, ROWS, INT, ROWS, ROWS, INT, ROWS),
    grids._lift: (COLUMN, ROWS),
    grids._grid: (ROWS, ROWS, INT, INT, STACK, STACK, INT, ROWS),
    grids._fold_quads: (COLUMN, ROWS, ROWS),
    sha256._hash: (ROWS, ROWS, HALVES, WORD, HALVES, ROWS),
}

if __name__ == "__main__":
    # Functions that kernels call are compiled for the device that is there.
    dispatcher.get_current_device = lambda: SimpleNamespace(compute_capability=CAPABILITY)
    modules = (field, ntt, grid, grids, sumcheck, unwritten, fractions, sha256)
    kernels = {
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type(field._fold)) and not value.targetoptions.get("device")
    }
    assert kernels == set(SIGNATURES)
    for function, signature in SIGNATURES.items():
        code, _ = cuda.compile_ptx(function.py_func, signature, cc=CAPABILITY)
        assert ".target sm_80" in code and ".entry" in code
        assert ".f32" not in code and ".f64" not in code  # integers became floats nowhere
        print(function.py_func.__name__, flush=True)
