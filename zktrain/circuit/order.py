"""The public order of training: which records make the batch of each step.

The order is version-stable: the same seed gives the same batches in every release, on every
machine. Definition, with ``le8(v)`` the 8 bytes of ``v``, least significant first:

    key(e, n)  = little-endian uint64 number n of the stream
                 SHAKE-256("zktrain order v1" || le8(len(seed)) || seed || le8(e))
    epoch e    = the record numbers 0..N-1 sorted by (key(e, n), n)
    stream     = epoch 0, epoch 1, epoch 2, ... one after the other
    batch t    = entries t*B .. (t+1)*B - 1 of the stream

``seed`` is the UTF-8 encoding of the recipe's text. An epoch that is not a multiple of ``B`` runs
on into the next one, so every record is used equally often, give or take once. With ``drop_last``
the last ``N mod B`` records of each epoch are left out instead:

    batch t    = entries (t mod n) B .. (t mod n + 1) B - 1 of epoch t div n,      n = N div B
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ..errors import InputError

PIECE = 1 << 16
"""Samples in a piece of an order, at least: what is done for each piece then costs little."""
_DOMAIN = b"zktrain order v1"


def epoch_permutation(order_seed: str, records: int, epoch: int) -> npt.NDArray[np.int64]:
    """Record numbers ``0 .. records-1`` in the order of ``epoch``."""
    seed = order_seed.encode()
    xof = hashlib.shake_256(
        _DOMAIN + len(seed).to_bytes(8, "little") + seed + epoch.to_bytes(8, "little")
    )
    keys = np.frombuffer(xof.digest(8 * records), dtype="<u8")
    order = np.argsort(keys)  # faster than a stable one, and the same unless two keys are equal
    found = keys[order]
    if bool((found[1:] == found[:-1]).any()):
        order = np.argsort(keys, kind="stable")
    return order.astype(np.int64, copy=False)


@lru_cache(maxsize=1)
def last_permutation(order_seed: str, records: int, epoch: int) -> npt.NDArray[np.int64]:
    """The permutation that was drawn last, kept: whoever goes through a run in its order, in pieces
    of any length, draws each of its epochs once."""
    order = epoch_permutation(order_seed, records, epoch)
    order.setflags(write=False)
    return order


def records_used(records: int, batch_size: int, *, drop_last: bool) -> int:
    """Entries of an epoch that are in batches."""
    return records - records % batch_size if drop_last else records


def permuted(records: int, batch_size: int, steps: int, *, drop_last: bool) -> int:
    """How many records the permutations of all epochs of a run have together: what it costs to
    know its order, up to the logarithm of ``records``."""
    used = records_used(records, batch_size, drop_last=drop_last)
    return -(-steps * batch_size // used) * records


def batches(
    order_seed: str,
    records: int,
    batch_size: int,
    first_step: int,
    steps: int,
    *,
    drop_last: bool = False,
) -> Iterator[npt.NDArray[np.int64]]:
    """Record numbers of the batches ``first_step .. first_step+steps-1`` in pieces ``(n, B)``, each
    about an epoch, or several small ones: no more than two of them are in memory.

    Raises ``InputError`` when there is nothing to draw from or a count is negative, and when
    ``drop_last`` leaves nothing of an epoch.
    """
    if records < 1:
        raise InputError("the dataset has no records, so no batch can be drawn from it")
    if batch_size < 1 or first_step < 0 or steps < 0:
        raise InputError(
            f"no batches exist for batch size {batch_size}, first step {first_step}, "
            f"{steps} steps: give a positive batch size and non-negative steps"
        )
    used = records_used(records, batch_size, drop_last=drop_last)
    if not used:
        raise InputError(
            f"an epoch of {records} records has no whole batch of {batch_size}: lower "
            'batch_size, or set last_batch = "wrap"'
        )
    return _pieces(order_seed, records, batch_size, used, first_step, steps)


def _pieces(
    order_seed: str, records: int, batch_size: int, used: int, first_step: int, steps: int
) -> Iterator[npt.NDArray[np.int64]]:
    missing = steps * batch_size
    epoch, skip = divmod(first_step * batch_size, used)
    held: list[npt.NDArray[np.int64]] = []
    size = 0
    while missing:
        here = last_permutation(order_seed, records, epoch)[skip:used][:missing]
        missing -= here.size
        epoch, skip = epoch + 1, 0
        held.append(here)
        size += here.size
        if not missing or size >= max(batch_size, PIECE):
            found = np.concatenate(held)
            whole = size - size % batch_size
            yield found[:whole].reshape(-1, batch_size)
            held, size = [found[whole:]], size - whole


def batch_indices(
    order_seed: str,
    records: int,
    batch_size: int,
    first_step: int,
    steps: int,
    *,
    drop_last: bool = False,
) -> npt.NDArray[np.int64]:
    """The pieces of ``batches`` as one, int64 ``(steps, B)``; raises the same."""
    found = batches(order_seed, records, batch_size, first_step, steps, drop_last=drop_last)
    return np.concatenate([np.zeros((0, max(batch_size, 1)), dtype=np.int64), *found])
