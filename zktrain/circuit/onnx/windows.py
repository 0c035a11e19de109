"""Windows of convolutions and pools: what the attributes of an ONNX node say about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .constants import Unsupported, attributes

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True)
class Window:
    """Pairs are (vertical, horizontal); ``places`` is how often the window fits."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    places: tuple[int, int]


def convolution_window(
    node: onnx.NodeProto, image: tuple[int, int, int], weight: tuple[int, ...]
) -> Window:
    """The window of a ``Conv`` with a weight of shape ``(outputs, inputs, height, width)`` over
    an image ``(channels, height, width)``. Raises ``Unsupported``."""
    options = attributes(node)
    if options.get("group", 1) != 1:
        raise Unsupported(
            f"it has {options['group']} groups", "use a convolution of one group (groups=1)"
        )
    if len(weight) != 4:
        raise Unsupported(
            f"its weight has shape {weight}, not (outputs, inputs, height, width)",
            "use convolutions over two axes (torch.nn.Conv2d)",
        )
    if weight[1] != image[0]:
        raise Unsupported(
            f"its weight takes {weight[1]} channels, but there are {image[0]}",
            "make the channels of consecutive layers agree",
        )
    if tuple(options.get("kernel_shape", weight[2:])) != weight[2:]:
        raise Unsupported(
            f"kernel_shape = {options['kernel_shape']} is not the size {weight[2:]} of its weight",
            "export the network again",
        )
    return _window(options, image, (weight[2], weight[3]))


def pool_window(node: onnx.NodeProto, image: tuple[int, int, int]) -> Window:
    """The window of a ``MaxPool`` or ``AveragePool`` over ``image``. Raises ``Unsupported``."""
    options = attributes(node)
    window = _window(options, image, _pair(options, "kernel_shape"))
    if window.padding != (0, 0):
        raise Unsupported("it pads its images", "use a pool without padding (padding=0)")
    if options.get("ceil_mode", 0):
        raise Unsupported(
            "ceil_mode = 1 is not supported",
            "leave out what does not fill a window (ceil_mode=False)",
        )
    return window


def _window(
    options: dict[str, Any], image: tuple[int, int, int], kernel: tuple[int, int]
) -> Window:
    stride = _pair(options, "strides", (1, 1))
    if _pair(options, "dilations", (1, 1)) != (1, 1):
        raise Unsupported(
            f"dilations = {options['dilations']} are not supported", "use a dilation of 1"
        )
    padding = _padding(options, image, kernel, stride)
    if any(pad >= taps for pad, taps in zip(padding, kernel, strict=True)):
        raise Unsupported(
            f"its padding {padding} is not below its kernel {kernel}",
            "pad by less than the kernel's size: other windows see nothing of the image",
        )
    padded = (image[1] + 2 * padding[0], image[2] + 2 * padding[1])
    if kernel[0] > padded[0] or kernel[1] > padded[1]:
        raise Unsupported(
            f"its window of {kernel[0]} x {kernel[1]} is larger than the padded image of "
            f"{padded[0]} x {padded[1]}",
            "use a smaller window or a larger image",
        )
    places = (
        (padded[0] - kernel[0]) // stride[0] + 1,
        (padded[1] - kernel[1]) // stride[1] + 1,
    )
    return Window(kernel, stride, padding, places)


def _padding(
    options: dict[str, Any],
    image: tuple[int, int, int],
    kernel: tuple[int, int],
    stride: tuple[int, int],
) -> tuple[int, int]:
    mode = options.get("auto_pad", b"NOTSET").decode()
    if mode == "VALID":
        return 0, 0
    if mode == "NOTSET":
        pads = list(options.get("pads", [0, 0, 0, 0]))
        if len(pads) != 4 or min(pads) < 0:
            raise Unsupported(f"pads = {pads} are not four sizes", "export the network again")
    elif mode in ("SAME_UPPER", "SAME_LOWER"):
        before, after = [], []
        for size, taps, step in zip(image[1:], kernel, stride, strict=True):
            total = max((-(-size // step) - 1) * step + taps - size, 0)
            before.append(total // 2)
            after.append(total - total // 2)
        pads = before + after
    else:
        raise Unsupported(f"auto_pad = {mode} is unknown", "export the network again")
    if pads[:2] != pads[2:]:
        raise Unsupported(
            f"it pads {pads[:2]} before and {pads[2:]} after the image",
            "pad both sides by the same number (an integer padding of torch.nn.Conv2d)",
        )
    return pads[0], pads[1]


def _pair(
    options: dict[str, Any], name: str, default: tuple[int, int] | None = None
) -> tuple[int, int]:
    sizes = options.get(name, default)
    if sizes is None or len(sizes) != 2 or min(sizes) < 1:
        raise Unsupported(
            f"{name} = {sizes} are not two sizes of at least 1",
            "use layers over two axes (torch.nn.Conv2d, MaxPool2d, AvgPool2d)",
        )
    return sizes[0], sizes[1]
