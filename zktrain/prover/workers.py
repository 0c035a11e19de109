"""Who computes: the process itself, or others.

What a prover computes from its witness is a pass over ranges, each a pure function of what is
shared and of the range. So ranges may be computed anywhere, again, and twice; what is sent to the
verifier does not depend on how they are cut.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

R = TypeVar("R")


class Shared(Protocol):
    """A value that all workers have, read-only."""

    def map(
        self, phase: str, function: Callable[..., R], ranges: Sequence[tuple[Any, ...]]
    ) -> list[R]:
        """``function(value, *range)`` of every range, in order; the function is one of a module.

        Raises what the function raises, and :class:`InputError` when no workers are left.
        """
        ...


class Workers(Protocol):
    """Processes that compute ranges."""

    @property
    def count(self) -> int:
        """For how many work is to be cut."""
        ...

    def share(self, value: Any) -> Shared:
        """Give it to all, now or when they need it."""
        ...


@dataclass(frozen=True, slots=True)
class Here:
    """A value in this process."""

    value: Any

    def map(
        self, phase: str, function: Callable[..., R], ranges: Sequence[tuple[Any, ...]]
    ) -> list[R]:
        """See :class:`Shared`."""
        return [function(self.value, *range_) for range_ in ranges]


@dataclass(frozen=True, slots=True)
class Alone:
    """This process, and nobody else; it uses all processors for one range."""

    count: int = 1

    def share(self, value: Any) -> Here:
        """See :class:`Workers`."""
        return Here(value)


ALONE = Alone()
