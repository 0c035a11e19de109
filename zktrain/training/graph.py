"""A sequence of device operations that is issued again and again, as one CUDA graph if there is a
CUDA device."""

from __future__ import annotations

from collections.abc import Callable

import torch


class Repeated:
    """``program`` touches the same addresses every time and never waits for the device.

    On a CUDA device the first call runs it as it is, the second captures it, and from then on a
    call is one launch; elsewhere every call runs it.
    """

    def __init__(self, program: Callable[[], None], device: torch.device) -> None:
        self._program = program
        self._capturing = device.type == "cuda"
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        self._calls += 1
        if not self._capturing or self._calls == 1:
            self._program()
            return
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._program()
        self._graph.replay()
