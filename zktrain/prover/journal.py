"""What is known of a proof that is being made: a seed, and the messages so far, stage by stage.

A private file beside the proof:

    32 bytes   SHA-256 of release and statement: whose journal it is
    32 bytes   the seed of all randomness
    then for every finished stage: 8 bytes length (little-endian), the messages, their SHA-256

Whoever is interrupted finds it, makes the same messages again from the same seed, or reads those
of finished stages. So a seed answers one transcript. The seed is gone before the proof gets its
name: with it, a published proof would hide nothing.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path

from .. import __version__, disk, files
from ..errors import InputError, ZktrainError
from ..protocol.bundle import MAX_PROOF_BYTES
from ..protocol.statement import Statement
from ..transcript.channel import VerifierChannel
from .randomness import SECRET_BYTES, Randomness, expand, new_secret
from .transcript.channel import ProverChannel

Make = Callable[[], None]
Read = Callable[[VerifierChannel], None]

_DIGEST = 32
_HEAD = _DIGEST + SECRET_BYTES
PAUSE = 1.0
"""Seconds between two writes: that much is made again."""


class Differs(Exception):
    """A stage has sent other messages before: the journal is damaged."""


class Journal:
    """The journal at ``path`` of a proof of ``statement``: as it was left, or a new one."""

    def __init__(self, path: Path, statement: Statement) -> None:
        self._path = path
        release = f"zktrain {__version__} {statement.protocol} ".encode()
        self._owner = hashlib.sha256(release + statement.digest).digest()
        self._stages: list[bytes]
        head, self._stages = self._read()
        if head is None:
            self.renew()
        else:
            self._begin(head[_DIGEST:])

    def _begin(self, seed: bytes) -> None:
        self._seed = seed
        self.recalled = 0
        """Stages that were read instead of made."""
        self._next = 0
        self._unwritten = b""
        self._written = time.monotonic()

    def renew(self) -> None:
        """Forget all; a new seed."""
        self._stages = []
        self._begin(new_secret())
        disk.write(self._path, self._owner + self._seed, private=True)

    def randomness(self) -> Randomness:
        """All of the proof, from its beginning."""
        return expand(self._seed, "proof")

    def _read(self) -> tuple[bytes | None, list[bytes]]:
        """Head and whole stages of the file, if it is of this statement; what was cut off while it
        was written is removed."""
        try:
            data = files.read_bytes(self._path, "journal", 2 * MAX_PROOF_BYTES)
        except InputError:
            return None, []
        if len(data) < _HEAD or data[:_DIGEST] != self._owner:
            return None, []
        at, stages = _HEAD, []
        while len(data) - at >= 8:
            size = int.from_bytes(data[at : at + 8], "little")
            stage, digest = data[at + 8 : at + 8 + size], data[at + 8 + size :][:_DIGEST]
            if hashlib.sha256(stage).digest() != digest:
                break
            stages.append(stage)
            at += 8 + size + _DIGEST
        if at < len(data):
            disk.write(self._path, data[:at], private=True)
        return data[:_HEAD], stages

    def stage(self, channel: ProverChannel, make: Make, read: Read | None = None) -> None:
        """Send the messages of the next stage, or ``read`` those that were sent before; a stage
        that cannot be read is made again.

        Raises ``Differs`` where they are not what they were.
        """
        known = self._next < len(self._stages)
        if known and read is not None:
            try:
                with channel.recalling(self._stages[self._next]) as reader:
                    read(reader)
            except (ZktrainError, ValueError) as error:
                raise Differs from error
            self.recalled += 1
        else:
            first = channel.messages
            make()
            sent = channel.since(first)
            if not known:
                self._keep(sent)
            elif self._stages[self._next] != sent:
                raise Differs
        self._next += 1

    def _keep(self, stage: bytes) -> None:
        self._stages.append(stage)
        self._unwritten += len(stage).to_bytes(8, "little") + stage + hashlib.sha256(stage).digest()
        if time.monotonic() - self._written >= PAUSE:
            disk.append(self._path, self._unwritten)
            self._unwritten, self._written = b"", time.monotonic()

    def forget(self) -> None:
        """Remove the file: the proof is whole and on the disk."""
        disk.remove(self._path)


def stage(
    journal: Journal | None, channel: ProverChannel, make: Make, read: Read | None = None
) -> None:
    """``Journal.stage``, or without one the messages."""
    if journal is None:
        make()
    else:
        journal.stage(channel, make, read)
