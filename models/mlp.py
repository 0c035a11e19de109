"""Multilayer perceptrons as torch modules."""

from __future__ import annotations

import torch
from torch import nn


class MLP(nn.Module):
    """Affine layers ``fc1``, ``fc2``, ... of the given widths with ReLU between them.

    ``MLP(784, 128, 10)`` maps ``(batch, 784)`` to logits ``(batch, 10)``.
    """

    def __init__(self, *widths: int) -> None:
        super().__init__()
        if len(widths) < 2:
            raise ValueError("an MLP needs at least the widths of its input and its output")
        self.depth = len(widths) - 1
        for index in range(self.depth):
            self.add_module(f"fc{index + 1}", nn.Linear(widths[index], widths[index + 1]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for index in range(1, self.depth + 1):
            x = self.get_submodule(f"fc{index}")(x)
            if index < self.depth:
                x = torch.relu(x)
        return x
