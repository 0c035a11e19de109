"""Ranges of a run's samples: what is computed at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..arguments.tensors import Shape, Tensor, log_width


@dataclass(frozen=True, slots=True)
class Range:
    """All samples of ``steps`` steps from ``step`` on, or of one step ``samples`` of them, a power
    of two, from ``sample`` on; padded samples count."""

    step: int
    steps: int
    sample: int
    samples: int

    @property
    def count(self) -> int:
        """Samples."""
        return self.steps * self.samples

    def first(self, shape: Shape) -> int:
        """The number of its first sample in the run."""
        return (self.step << shape.log_batch) + self.sample

    def dims(self, tensor: Tensor) -> tuple[int, ...]:
        """Padded sizes of all axes, outermost first."""
        return self.steps, self.samples, *(1 << log_width(size) for size in tensor.axes)

    def real(self, shape: Shape, tensor: Tensor) -> tuple[slice, ...]:
        """Where its real cells are."""
        steps = min(self.steps, max(0, shape.steps - self.step))
        samples = min(self.samples, max(0, shape.batch - self.sample))
        return tuple(slice(size) for size in (steps, samples, *tensor.axes))


def whole(shape: Shape) -> Range:
    """All steps that there are, without those that pad their number."""
    return Range(0, shape.steps, 0, 1 << shape.log_batch)


def cut(shape: Shape, samples: int) -> Iterator[Range]:
    """All samples of real steps, in ranges of at most ``samples`` (at least 1); samples that pad
    the batch only where they share a range with others."""
    batch = 1 << shape.log_batch
    if samples >= batch:
        steps = samples // batch
        for step in range(0, shape.steps, steps):
            yield Range(step, min(steps, shape.steps - step), 0, batch)
        return
    size = 1 << (max(1, samples).bit_length() - 1)
    for step in range(shape.steps):
        for sample in range(0, shape.batch, size):
            yield Range(step, 1, sample, size)
