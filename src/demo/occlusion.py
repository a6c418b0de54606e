"""What in an image an answer rests on: how much it loses when a part is hidden."""

import math
from itertools import product

import numpy as np

from src.inference.engines import Engine

CELLS = 14  # at most, along each side


def cell(height: int, width: int) -> int:
    """The side of a cell, in pixels."""
    return math.ceil(max(height, width) / CELLS)


def occlusion(engine: Engine, pixels: np.ndarray) -> np.ndarray:
    """How much the probability of the likeliest class falls with a part set to the background, 0.

    pixels: uint8 [C, H, W]. Returns float [rows, columns], -1 to 1, a value per cell: the part that
    is hidden is the cell and the eight around it. The model reads all in one batch.
    """
    side = cell(*pixels.shape[1:])
    rows, columns = (math.ceil(length / side) for length in pixels.shape[1:])
    images = np.repeat(pixels[None], 1 + rows * columns, axis=0)  # the first stays whole
    for image, (row, column) in zip(images[1:], product(range(rows), range(columns)), strict=True):
        image[:, _around(row, side), _around(column, side)] = 0
    probabilities = engine.run(images).probabilities
    falls: np.ndarray = (probabilities[0] - probabilities[1:])[:, probabilities[0].argmax()]
    return falls.reshape(rows, columns)


def _around(number: int, side: int) -> slice:
    return slice(max(0, number - 1) * side, (number + 2) * side)
