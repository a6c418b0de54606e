"""The cells of a table: what they say, and by what they are sorted."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Cell:
    """key: numbers are sorted by size, texts by letter, and what has none comes last."""

    text: str
    key: float | str | None
    is_number: bool = False

    @property
    def is_long(self) -> bool:
        return len(self.text) > 40


def texts(values: Iterable[Any]) -> list[Cell]:
    """Blank where there is none."""
    shown = ("" if value is None or value != value else str(value) for value in values)
    return [Cell(text, text or None) for text in shown]


def counts(values: Iterable[int]) -> list[Cell]:
    """Whole numbers."""
    return _cells(values, ",.0f")


def numbers(values: Iterable[float], digits: int = 4) -> list[Cell]:
    """With this many digits after the point; blank where there is none."""
    return _cells(values, f".{digits}f")


def small(values: Iterable[float], digits: int = 2) -> list[Cell]:
    """With so many significant digits: p-values, learning rates."""
    return _cells(values, f".{digits}g")


def percents(values: Iterable[float]) -> list[Cell]:
    """Shares, 0 to 1, in percent."""
    return _cells(values, ".2%")


def with_interval(table: pd.DataFrame, column: str) -> list[Cell]:
    """Shares in percent, with the intervals in the columns _lo and _hi, where there are any."""
    ends = zip(table[f"{column}_lo"], table[f"{column}_hi"], strict=True)
    return [
        replace(cell, text=f"{cell.text} ({low:.2%} to {high:.2%})") if pd.notna(low) else cell
        for cell, (low, high) in zip(percents(table[column]), ends, strict=True)
    ]


def points(table: pd.DataFrame, column: str, low: str, high: str) -> list[Cell]:
    """Differences of shares in points, with the intervals in two other columns, where there are."""
    ends = zip(100 * table[low], 100 * table[high], strict=True)
    return [
        replace(cell, text=f"{cell.text} ({least:+.2f} to {most:+.2f})")
        if pd.notna(least)
        else cell
        for cell, (least, most) in zip(_cells(100 * table[column], "+.2f"), ends, strict=True)
    ]


def _cells(values: Iterable[float], shape: str) -> list[Cell]:
    return [
        Cell(format(value, shape), float(value), True) if pd.notna(value) else Cell("", None, True)
        for value in values
    ]
