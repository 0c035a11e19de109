"""Openings small enough for linear algebra: the real prover with a few cells per lane and two or
three opened positions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from patched import everywhere
from probing import Cells, Frozen, Recorder, Revealed, Tape, functional_ext, reveal

from zktrain.commitment import ligero, opening, packing, parameters
from zktrain.commitment.hiding import HidingVerifier, Layout
from zktrain.commitment.merkle import SALT_CELLS
from zktrain.commitment.packing import Claim, Packing, claim_on, pack
from zktrain.commitment.parameters import Plan
from zktrain.field import multilinear as ml
from zktrain.field.extension import ONE, ZERO, Ext, ExtVec
from zktrain.field.forms import Form, gradient
from zktrain.prover.commitment import commit as commit_module
from zktrain.prover.commitment import ligero as prover_ligero
from zktrain.prover.commitment import opening as prover_opening
from zktrain.prover.commitment.commit import Committed, commit
from zktrain.prover.randomness import Randomness

BITS = 1.0
POSITIONS = 2
"""Positions opened per level."""
NO_ROOT = SimpleNamespace(tree=SimpleNamespace(root=bytes(32)))


@contextmanager
def tiny_parameters(clear_log: int = 0, fold_log: int = 2) -> Iterator[None]:
    """Blocks of 4 cells, ``POSITIONS`` opened positions; pads are not committed, since their
    commitment has tests of its own."""
    scheme = replace(parameters.SCHEME, clear_log=clear_log, work_bits=1)

    def plan(*sizes: Any) -> Plan:
        return parameters.plan(*sizes[:-1], scheme)

    caches = (parameters.plan, parameters.tail_for)
    patches: list[AbstractContextManager[Any]] = [
        mock.patch.object(packing, "BLOCK_LOG_MIN", 2),
        mock.patch.object(commit_module, "BLOCK_LOG_MIN", 2),
        mock.patch.object(prover_opening, "LOW", 2),
        mock.patch.object(opening, "plan", plan),
        mock.patch.object(parameters, "FOLD_LOG", fold_log),
        mock.patch.object(parameters, "_queries", return_value=POSITIONS),
        everywhere(ligero, "WORK_BITS", 0),
        mock.patch.object(prover_ligero, "commit", return_value=NO_ROOT),
        mock.patch.object(ligero, "parameters", return_value=None),
    ]
    for cache in caches:
        cache.cache_clear()
    try:
        with ExitStack() as stack:
            for patch in patches:
                stack.enter_context(patch)
            yield
    finally:
        for cache in caches:
            cache.cache_clear()


@dataclass
class TinyOpening:
    """Commitments to tensors of ``2^size`` cells each, opened together, once per seed;
    ``lane_logs`` where their lanes differ in length."""

    lane_log: int = 4
    lane_logs: tuple[int, ...] = ()
    sizes: tuple[tuple[int, ...], ...] = ((5, 3),)
    tail: int = POSITIONS
    seeds: tuple[str, ...] = ("a",)
    fixed: dict[str, Ext] = field(default_factory=dict)
    generous: int | None = None
    channel: type[Recorder] = Recorder

    @property
    def tensors(self) -> list[tuple[int, int]]:
        """Commitment and log size of each."""
        return [(number, size) for number, sizes in enumerate(self.sizes) for size in sizes]

    @property
    def packings(self) -> list[Packing]:
        shapes = [(number, f"t{i}", size, 1 << size) for i, (number, size) in self._numbered]
        return [
            pack([shape for at, *shape in shapes if at == number], lane_log, self.tail)
            for number, lane_log in enumerate(self.lane_logs or (self.lane_log,) * len(self.sizes))
        ]

    @property
    def _numbered(self) -> list[tuple[int, tuple[int, int]]]:
        return list(enumerate(self.tensors))

    @property
    def plan(self) -> Plan:
        return opening.level_plan(self.packings, BITS, hiding=True)

    @property
    def layout(self) -> Layout:
        return Layout(self.plan.scalars(True))

    def witness(self) -> NDArray[np.int64]:
        """Any cells, of all tensors one after the other."""
        count = sum(1 << size for _, size in self.tensors)
        return np.arange(count, dtype=np.int64) * 37 % 101 - 50

    def claims(self) -> list[Claim]:
        """Two on each tensor, at different points; the prover does not look at the values."""
        challenger = Frozen("claims")
        return [
            claim_on(number, f"t{i}", tuple(challenger.elements("point", size)), ZERO)
            for i, (number, size) in self._numbered
            for _ in range(2)
        ]

    def public(self) -> Cells:
        """The claims as functionals of the tensors' cells."""
        ends = np.cumsum([1 << size for _, size in self.tensors])
        rows = []
        for claim in self.claims():
            (term,) = claim.terms
            row = np.zeros((2, int(ends[-1])), dtype=np.uint64)
            stop = int(ends[int(term.name[1:])])
            row[:, stop - (1 << len(term.point)) : stop] = ml.eq_table(term.point)
            rows.append(row)
        return np.concatenate(rows)

    def commit(self, witness: NDArray[np.int64], random: Randomness) -> list[Committed]:
        ends = np.cumsum([1 << size for _, size in self.tensors])[:-1]
        parts = np.split(witness, ends)
        return [
            commit(
                packing,
                {f"t{i}": parts[i] for i, (at, _) in self._numbered if at == number},
                random,
            )
            for number, packing in enumerate(self.packings)
        ]

    def prove(self, witness: NDArray[np.int64], random: Randomness) -> list[Recorder]:
        committed = self.commit(witness, random)
        channels = []
        for seed in self.seeds:
            challenger = Frozen(seed, fixed=self.fixed, generous=self.generous)
            channel = self.channel(challenger, self.layout, BITS, random)
            prover_opening.prove(channel, "opening", committed, self.claims(), BITS, random)
            channels.append(channel)
        return channels

    def _run(self, witness: NDArray[np.int64], random: Randomness) -> Cells:
        return np.concatenate([c.revealed() for c in self.prove(witness, random)])

    def revealed(self) -> Revealed:
        levels = (*self.plan.commitments, *self.plan.deeper[:1])
        lengths = [1 << level.code_log for level in levels]
        salts = [(length, SALT_CELLS) for length in lengths]
        return reveal(self._run, self.witness(), lambda draw: draw[2] in salts)

    def with_checks(self, revealed: Revealed) -> Revealed:
        """Also what each check of the verifiers says about the pads, one by one."""
        scalars = self.layout.scalars
        pads = [draw for draw in revealed.draws if draw[2] == (2, scalars)]
        roots = [c.root for c in self.commit(self.witness(), Tape())]
        channels = self.prove(self.witness(), Tape())
        for seed, channel, (first, stop, _) in zip(self.seeds, channels, pads, strict=True):
            challenger = Frozen(seed, fixed=self.fixed)
            replay = HidingVerifier(challenger, channel.proof(), self.layout, BITS)
            opening.verify(replay, "opening", roots, self.packings, self.claims(), BITS)
            for check in replay._checks:
                row = np.zeros((2, revealed.random.shape[1]), dtype=np.uint64)
                row[:, first:stop] = functional_ext(pad_coefficients(check, scalars))
                none = np.zeros((2, revealed.witness.shape[1]), dtype=np.uint64)
                revealed = revealed.more(none, row)
        return revealed


def pad_coefficients(check: Form, count: int) -> ExtVec:
    """Of a form in ``count`` pads."""
    out = np.zeros((2, count), dtype=np.uint64)
    for slot, value in gradient([check], [ONE]).items():
        out[:, slot] = (value.a, value.b)
    return out
