"""Images converted to another size and colour, so that one model can read both data sets."""

import torch
from PIL import Image
from torch import Tensor

from src.core.errors import UserError

GREY, COLOUR = 1, 3  # channels


def fit_images(images: Tensor, image_shape: tuple[int, int, int]) -> Tensor:
    """uint8 [N, C, H, W] as uint8 [N, *image_shape] (channels, height, width).

    Scaled by the largest factor with which the whole image fits, centred on 0, the background.
    Grey is repeated to three channels; colour becomes its luminance (ITU-R BT.601). Raises
    UserError for other numbers of channels.
    """
    if images.shape[1:] == image_shape:
        return images
    channels, height, width = image_shape
    if {images.shape[1], channels} - {GREY, COLOUR} and images.shape[1] != channels:
        raise UserError(
            f"data.target: should have as many channels as the source ({channels}), or both 1 or "
            f"3, not {images.shape[1]}"
        )
    coloured = _with_channels(images, channels)
    factor = min(height / images.shape[2], width / images.shape[3])
    inner_height, inner_width = (max(1, round(side * factor)) for side in images.shape[2:])
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    framed = images.new_zeros(len(images), *image_shape)
    framed[:, :, top : top + inner_height, left : left + inner_width] = _resized(
        coloured, inner_height, inner_width
    )
    return framed


def _with_channels(images: Tensor, channels: int) -> Tensor:
    match images.shape[1], channels:
        case 1, 3:
            return images.expand(-1, 3, -1, -1)
        case 3, 1:
            red, green, blue = images.long().unbind(1)
            return ((299 * red + 587 * green + 114 * blue + 500) // 1000).byte()[:, None]
    return images


def _resized(images: Tensor, height: int, width: int) -> Tensor:
    # Pillow resizes bytes in integer arithmetic: the same result on every processor.
    planes = [
        Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC)
        for plane in images.flatten(0, 1).numpy()
    ]
    resized = torch.stack(
        [torch.frombuffer(bytearray(plane.tobytes()), dtype=torch.uint8) for plane in planes]
    )
    return resized.view(len(images), -1, height, width)
