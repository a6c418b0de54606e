"""The cells of a table: what they say, and by what they are sorted."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Cell:
    text: str
    key: float | str  # numbers are sorted by size, texts by letter

    @property
    def is_number(self) -> bool:
        return isinstance(self.key, float)


def texts(values: Iterable[Any]) -> list[Cell]:
    """Blank where there is none."""
    shown = ("" if value is None or value != value else str(value) for value in values)
    return [Cell(text, text) for text in shown]


def counts(values: Iterable[int]) -> list[Cell]:
    """Whole numbers."""
    return [Cell(f"{value:,}", float(value)) for value in values]


def numbers(values: Iterable[float], digits: int = 4) -> list[Cell]:
    """With this many digits after the point; blank where there is none."""
    return _cells(values, f".{digits}f")


def small(values: Iterable[float], digits: int = 2) -> list[Cell]:
    """With so many significant digits: p-values, learning rates."""
    return _cells(values, f".{digits}g")


def percents(values: Iterable[float]) -> list[Cell]:
    """Shares, 0 to 1, in percent."""
    return _cells(values, ".2%")


def with_interval(table: pd.DataFrame, column: str, low: str = "", high: str = "") -> list[Cell]:
    """Shares in percent, with their intervals where there are any.

    low, high: the columns with these; if not given, that of the values with _lo and _hi.
    """
    ends = zip(table[low or f"{column}_lo"], table[high or f"{column}_hi"], strict=True)
    return [
        Cell(f"{cell.text} ({low:.2%} to {high:.2%})", cell.key) if pd.notna(low) else cell
        for cell, (low, high) in zip(percents(table[column]), ends, strict=True)
    ]


def _cells(values: Iterable[float], shape: str) -> list[Cell]:
    # What is undefined comes last.
    return [
        Cell(format(value, shape), float(value)) if pd.notna(value) else Cell("", float("inf"))
        for value in values
    ]
