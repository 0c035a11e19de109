"""Torch modules over images as people write them, and their ONNX files by both exporters."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional


class Chain(nn.Module):
    """Convolutions, maxima and dense layers in Sequential blocks, with dropout."""

    sample = (1, 8, 8)

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(4, 5), nn.ReLU(), nn.Dropout(0.1), nn.Linear(5, 3)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.features(x), 1))


class View(Chain):
    """The batch's size is computed in the graph."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.features(x)
        return self.classifier(x.view(x.size(0), -1))


class FlatInput(Chain):
    """Flat records that the network makes images of."""

    sample = (64,)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.features(x.view(-1, 1, 8, 8))
        return self.classifier(x.reshape(-1, 4))


class Unsqueezed(Chain):
    """Images without an axis of channels."""

    sample = (8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.unsqueeze(1))


class ReluLast(nn.Module):
    """ReLU after the maximum and after the view, as in many tutorials."""

    sample = (2, 9, 9)

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(2, 3, 2), nn.Conv2d(3, 2, 3, padding="same")
        self.fc = nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(functional.max_pool2d(self.conv1(x), 2))
        x = functional.relu(functional.max_pool2d(self.conv2(x), 2).flatten(1))
        return self.fc(x)


class Averages(nn.Module):
    """Average pools, no ReLU in front of one, and a stride without a pool."""

    sample = (1, 9, 11)

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 2, 3, stride=2), nn.Conv2d(2, 3, (1, 2))
        self.pool = nn.AvgPool2d(2, stride=1)
        self.fc = nn.Linear(9, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.conv1(x))
        x = functional.relu(self.conv2(x))
        return self.fc(functional.avg_pool2d(x, (2, 1)).flatten(1))


class Residual(nn.Module):
    """An identity block and one with a 1 x 1 convolution; ``head`` says how the mean is taken."""

    sample = (1, 6, 6)

    def __init__(self, head: str = "mean", skip_first: bool = False) -> None:
        super().__init__()
        self.head, self.skip_first = head, skip_first
        self.stem = nn.Conv2d(1, 2, 3, padding=1)
        self.a1, self.a2 = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1)
        self.b1, self.b2 = nn.Conv2d(2, 4, 3, 2, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.down = nn.Conv2d(2, 4, 1, 2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.a2(torch.relu(self.a1(x))))
        if self.skip_first:
            x = torch.relu(self.down(x) + self.b2(torch.relu(self.b1(x))))
        else:
            x = torch.relu(self.b2(torch.relu(self.b1(x))) + self.down(x))
        if self.head == "mean":
            x = x.mean((2, 3))
        elif self.head == "flatten":
            x = torch.flatten(self.pool(x), 1)
        else:
            x = self.pool(x).squeeze(-1).squeeze(-1)
        return self.fc(x)


class Normalised(nn.Module):
    """Batch normalisation behind a convolution, with statistics that are not the first ones."""

    sample = (1, 6, 6)

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2)
        self.fc = nn.Linear(32, 2)
        with torch.no_grad():
            self.norm.running_mean += torch.tensor([0.1, -0.2])
            self.norm.running_var *= torch.tensor([2.0, 0.5])
            self.norm.bias += 0.25

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.norm(self.conv(x))).flatten(1))


def export(module: nn.Module, path: Path, *, dynamo: bool, dynamic: bool) -> Path:
    """The ONNX file of ``module``, in its mode, for samples of shape ``module.sample``."""
    batch = {"dynamic_shapes": {"x": {0: torch.export.Dim("batch")}}} if dynamo else {
        "dynamic_axes": {"x": {0: "batch"}}
    }  # fmt: skip
    modes = torch.onnx.TrainingMode
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.zeros(2, *module.sample),),
            str(path),
            dynamo=dynamo,
            input_names=["x"],
            training=modes.TRAINING if module.training else modes.EVAL,
            **(batch if dynamic else {}),
            **({"external_data": False, "verbose": False} if dynamo else {}),
        )
    return path
