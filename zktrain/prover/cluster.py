"""Workers of a Dask cluster: processes of this machine, or of many.

A range is given to whoever is free. A worker that dies is replaced by whoever is left or joins: its
ranges are computed again, and what it had been sent is sent again by other workers, or from here.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import numpy as np

from .. import __version__
from ..errors import InputError
from ..extras import require
from ..machine import thread_count
from .workers import ALONE, Workers

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

R = TypeVar("R")

ATTEMPTS = 5
"""How often what was lost is sent again and computed anew."""
PATIENCE = 60.0
"""Seconds to wait for a worker when there is none."""
ANSWER = 20.0
"""Seconds that a cluster has to answer."""
LARGE = 1 << 16
"""Bytes of an array from which on it goes to a worker without the scheduler."""
_LOCAL = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Cluster:
    """All workers that a client knows, those that have come meanwhile included."""

    client: Client

    @property
    def count(self) -> int:
        """See :class:`workers.Workers`."""
        return max(1, len(self.client.nthreads()))

    def share(self, value: Any) -> Sent:
        """See :class:`workers.Workers`; raises :class:`InputError` unless all have this version."""
        _wait_for_one(self.client)
        versions: dict[str, Any] = self.client.run(_version, on_error="return")
        for worker, version in versions.items():
            if version != __version__ and not isinstance(version, OSError):  # that one has died
                has = version if isinstance(version, str) else f"none ({version!s:.200})"
                raise InputError(
                    f"this is zktrain {__version__} and the worker {worker} has {has}; "
                    "install the same everywhere"
                )
        return Sent(self.client, value)


@dataclass(slots=True)
class Sent:
    """A value that every worker has from its first range on: one of them gets it from this process,
    which keeps it, and all others from each other."""

    client: Client
    value: Any
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    _there: Future | None = None
    _passes: Iterator[int] = field(default_factory=count)

    def map(
        self, phase: str, function: Callable[..., R], ranges: Sequence[tuple[Any, ...]]
    ) -> list[R]:
        """See :class:`workers.Shared`."""
        found: dict[int, R] = {}
        here = f"{self.name}-{phase}-{next(self._passes)}"
        for attempt in range(ATTEMPTS):
            waiting = [number for number in range(len(ranges)) if number not in found]
            if not waiting:
                break
            _wait_for_one(self.client)
            self._map(f"{here}-{attempt}", function, ranges, waiting, found)
        if len(found) < len(ranges):
            raise InputError(
                f"workers of the cluster have died {ATTEMPTS} times during {phase}; look at their "
                "logs, give them more memory, or prove without a cluster"
            )
        return [found[number] for number in range(len(ranges))]

    def _map(
        self,
        name: str,
        function: Callable[..., R],
        ranges: Sequence[tuple[Any, ...]],
        waiting: list[int],
        found: dict[int, R],
    ) -> None:
        """Put into ``found`` what is not lost on the way."""
        from distributed import as_completed

        lost = _lost()
        try:
            if self._there is None or self._there.status != "finished":
                self._there = _scattered(self.client, self.value)
            asked = {}
            for number in waiting:
                given = [_sent(self.client, argument) for argument in ranges[number]]
                future = self.client.submit(
                    function, self._there, *given, key=f"{name}-{number}", pure=False
                )
                asked[future] = number
            for future in as_completed(asked):
                try:
                    found[asked[future]] = future.result()
                except lost:
                    self._there = None
        except lost:
            self._there = None


def _sent(client: Client, argument: Any) -> Any:
    """Large arrays are sent to one worker, which tells others where they are."""
    if isinstance(argument, np.ndarray) and argument.nbytes >= LARGE:
        return _scattered(client, argument)
    return argument


def _scattered(client: Client, value: Any) -> Future:
    """At one worker. (Dask's ``broadcast`` never ends where one dies meanwhile.)"""
    return client.scatter(value, hash=False)


def _lost() -> tuple[type[BaseException], ...]:
    """What says that a worker has died, and not what it was asked."""
    from distributed.scheduler import KilledWorker

    return CancelledError, KilledWorker, OSError  # which are those of connections, too


def _wait_for_one(client: Client) -> None:
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except OSError:
        raise InputError(
            f"the cluster has had no worker for {PATIENCE:.0f} s; start some, or prove without it"
        ) from None


@contextmanager
def workers_of(asked: int | str | Client | None) -> Iterator[Workers]:
    """``asked`` processes of this machine, those of the cluster at an address or of a client; None:
    this process alone.

    Raises :class:`InputError` where there are none, or where others could listen or answer.
    """
    if asked is None:
        yield ALONE
        return
    require("cluster", "proving with workers", "distributed", "cryptography")
    if isinstance(asked, int):
        with _processes(asked) as client:
            yield _checked(client)
    elif isinstance(asked, str):
        with _connected(asked) as client:
            yield _checked(client)
    else:
        yield _checked(asked)


@contextmanager
def _processes(number: int) -> Iterator[Client]:
    """On this machine, by TLS with keys of their own: others on it can neither listen nor send.
    What they hold is never put on the disk."""
    import dask
    from distributed import Client, LocalCluster
    from distributed.security import Security

    if not 1 <= number <= 1024:
        raise InputError(f"{number} workers cannot be had; give a number from 1 to 1024")
    settings = {
        "distributed.deploy.lost-worker-timeout": f"{PATIENCE:.0f} s",
        "distributed.scheduler.active-memory-manager.start": False,
        "distributed.scheduler.allowed-failures": ATTEMPTS,
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
        "distributed.worker.profile.enabled": False,
    }
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        try:
            cluster = LocalCluster(
                n_workers=number,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                protocol="tls",
                security=Security.temporary(),
                dashboard_address=None,
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                worker_dashboard_address=None,
                memory_limit=0,
                local_directory=tempfile.gettempdir(),  # for logs and locks
                env={"ZKTRAIN_THREADS": str(max(1, thread_count() // number))},
            )
        except RuntimeError as error:
            raise InputError(
                f"{number} workers could not be started ({error}); in a script, keep what it does "
                'behind if __name__ == "__main__":, because workers load it, too'
            ) from None
        stack.callback(_close, cluster)
        yield stack.enter_context(Client(cluster, direct_to_workers=True))


def _close(cluster: LocalCluster) -> None:
    """All is computed, so nothing may go wrong. (Dask may raise KeyError when all workers are gone,
    where one of them had died.)"""
    from distributed import Status

    try:
        cluster.close()
    except Exception:
        cluster.status = Status.closed


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    from distributed import Client

    parts = urlsplit(address)
    if parts.scheme != "tls" and not (parts.scheme == "tcp" and parts.hostname in _LOCAL):
        raise InputError(
            f"{address!r} is no address of a cluster that may hold secrets: workers get all that "
            "the proof hides, so give the address of one with TLS (tls://HOST:PORT)"
        )
    try:
        client = Client(address, timeout=ANSWER, direct_to_workers=True)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"the cluster at {address} cannot be reached ({error!s:.200}); start it, and give its "
            "address and, in Dask's configuration, its certificates"
        ) from None
    with client:
        yield client


def _checked(client: Client) -> Cluster:
    """With workers that can be used, now."""
    found = Cluster(client)
    found.share(None)
    return found


def _version() -> str:
    return __version__
