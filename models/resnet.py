"""A small residual network as a torch module."""

from __future__ import annotations

import torch
from torch import nn


class Block(nn.Module):
    """Two 3 x 3 convolutions beside the image itself, or beside a 1 x 1 convolution of it where
    the block changes its shape."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        same = inputs == outputs and stride == 1
        self.skip = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv2(torch.relu(self.conv1(x)))
        return torch.relu(y + self.skip(x))


class ResNet(nn.Module):
    """Images ``(batch, 1, 8, 8)`` to logits ``(batch, 10)``; 5,050 parameters.

    A convolution of 8 channels, a block, a block of 16 channels that halves the image, the mean
    of every channel, and a dense layer. Without normalisation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.blocks = nn.Sequential(Block(8, 8), Block(8, 16, 2))
        self.head = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(torch.relu(self.stem(x)))
        return self.head(x.mean((2, 3)))
