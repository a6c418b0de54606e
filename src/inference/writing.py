"""Which of the ink in a picture is writing."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from src.inference.ink import FAINTEST, otsu
from src.inference.layout import Box, longer_side

SURE = 0.5  # of the strength of typical ink, from which a pixel is ink
SURER = (0.5, 0.7)  # of that of the strongest, where lines and writing hang together
THICKEST = 4  # pixels, half the width of the broadest lines that are told from strokes
ALONG = 0.4  # of a side, from which what lies along it is no writing
FILLED = 0.9  # of both sides, from which a piece fills the picture
MEETINGS = 6  # places at most where writing that fills the picture meets the border
PART = 0.15  # of all ink, that writing has at least
SMALL = 0.05  # of the writing's ink, below which a piece is a speck
ALIKE = 0.25  # of the writing's ink, from which other pieces are writing, too
GAP = 0.25  # of the writing's longer side, within which its parts lie


class Writing(NamedTuple):
    """Which of the ink it is, bool [H, W], and how many pieces like it lie elsewhere."""

    mask: np.ndarray
    others: int


def writing_in(ink: np.ndarray) -> Writing:
    """The heaviest writing, and not lines, specks, or the edge of what it is written on."""
    if ink.max() < FAINTEST:
        return Writing(np.zeros(ink.shape, bool), 0)
    level = SURE * np.percentile(ink[ink >= otsu(ink)], 75)
    rest = [each for each in _pieces(ink >= level, ink) if each.lies != "along"]
    # In a small picture of them, fine lines are fainter than writing, but may be most of the ink.
    levels = (level, *(share * ink.max() for share in SURER)) if rest else ()
    for level in levels:
        if writing := _told_apart(ink >= level, ink):
            return writing
    return Writing(_union(rest, ink.shape), 0)


def _told_apart(mask: np.ndarray, ink: np.ndarray) -> Writing | None:
    """Of the ink in a mask, the writing; None if all of it hangs together with something else."""
    pieces = _pieces(mask, ink)
    least = PART * sum(piece.ink for piece in pieces if piece.lies in ("inside", "through"))
    for radius in range(1, THICKEST + 2):
        if chosen := _chosen(pieces, least):
            written = ndimage.binary_dilation(_union(chosen, mask.shape), disc(radius))
            return Writing(mask & written, _others(pieces, chosen))
        # Nothing stands alone: lines that cross the writing are finer than its strokes.
        pieces = _pieces(ndimage.binary_opening(mask, disc(radius)), ink)
    return None


@dataclass(frozen=True, eq=False)
class _Piece:
    """Ink that hangs together: where it is, how much, and how it lies in the picture.

    mask: within its box. lies: inside, as writing does, even if it touches the border somewhere;
    through, from one side to the opposite one, as lines do; along a side, as the edge of a desk
    does; around, on most of the border.
    """

    box: Box
    mask: np.ndarray
    ink: float
    lies: str


def _pieces(mask: np.ndarray, ink: np.ndarray) -> list[_Piece]:
    numbered, _ = ndimage.label(mask, np.ones((3, 3)))
    found = []
    for number, box in enumerate(ndimage.find_objects(numbered), 1):
        own = numbered[box] == number
        found.append(_Piece(box, own, float(ink[box][own].sum()), _lies(numbered == number, box)))
    return found


def _union(pieces: Iterable[_Piece], shape: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    for piece in pieces:
        mask[piece.box] |= piece.mask
    return mask


def _chosen(pieces: Sequence[_Piece], least: float) -> list[_Piece]:
    """Of the pieces, the heaviest that can be writing, and its parts; none below so much ink."""
    inside = [piece for piece in pieces if piece.lies == "inside"]
    heavy = [piece for piece in inside if piece.ink >= least]
    frames = [one for one in heavy if any(_holds(one.box, other.box) for other in heavy)]
    heavy = [piece for piece in heavy if piece not in frames]
    if not heavy:
        return []
    main = max(heavy, key=lambda piece: piece.ink)
    waiting = [each for each in inside if each.ink >= SMALL * main.ink and each not in frames]
    parts, around = [main], main.box
    while near := [
        each
        for each in waiting
        if each not in parts and _gap(each.box, around) <= GAP * longer_side(around)
    ]:
        parts += near
        around = _around_both(around, *(each.box for each in near))
    return parts


def _others(pieces: Sequence[_Piece], chosen: Sequence[_Piece]) -> int:
    """How many more might be writing, and are not lines, edges, or drawn around what is chosen."""
    main = chosen[0]
    return sum(
        each.lies == "inside" and each.ink >= ALIKE * main.ink and not _holds(each.box, main.box)
        for each in pieces
        if each not in chosen
    )


def _lies(piece: np.ndarray, box: Box) -> str:
    """See `_Piece`."""
    sides = (piece[0], piece[:, -1], piece[-1, ::-1], piece[::-1, 0])
    border = np.concatenate(sides)
    fills = all(
        each.stop - each.start > FILLED * side for each, side in zip(box, piece.shape, strict=True)
    )
    if fills and border.mean() > ALONG:
        return "around"
    if fills:
        meets = int((border & ~np.roll(border, 1)).sum())
        return "inside" if meets <= MEETINGS else "through"
    if max(float(side.mean()) for side in sides) > ALONG:
        return "along"
    top, right, bottom, left = (bool(side.any()) for side in sides)
    return "through" if (top and bottom) or (left and right) else "inside"


def _holds(outer: Box, inner: Box) -> bool:
    """Whether a piece is drawn around another, as a circle or the box of a form is."""
    pairs = zip(outer, inner, strict=True)
    return all(bool(a.start < b.start and b.stop < a.stop) for a, b in pairs)


def _gap(box: Box, other: Box) -> int:
    """Pixels between two boxes; 0 or less if they overlap."""
    pairs = zip(box, other, strict=True)
    return max(max(int(a.start - b.stop), int(b.start - a.stop)) for a, b in pairs)


def _around_both(*boxes: Box) -> Box:
    rows, columns = (
        slice(min(each.start for each in sides), max(each.stop for each in sides))
        for sides in zip(*boxes, strict=True)
    )
    return rows, columns


def disc(radius: float) -> np.ndarray:
    """A mask of all pixels within a radius, [H, W], to broaden or narrow others by."""
    reach = math.ceil(radius)
    down, across = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    mask: np.ndarray = down**2 + across**2 <= (radius + 0.5) ** 2
    return mask
