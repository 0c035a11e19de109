"""VGG-11 for small images as a torch module."""

from __future__ import annotations

import torch
from torch import nn

_CHANNELS = (64, None, 128, None, 256, 256, None, 512, 512, None, 512, 512, None)
"""Output channels of the convolutions; ``None`` halves the image by a maximum over 2 x 2."""


class VGG11(nn.Module):
    """Images ``(batch, 3, 32, 32)`` to logits ``(batch, 10)``; 9,750,922 parameters.

    Configuration A of Simonyan and Zisserman (2015), without normalisation and dropout. Five times
    halved, an image of 32 x 32 is one value per channel, so that the three dense layers have width
    512 and not 4096.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for outputs in _CHANNELS:
            if outputs is None:
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU()]
                inputs = outputs
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.features(x), 1))
