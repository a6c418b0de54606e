"""The figures of docs/performance.md: from two times to a row of its table."""

import json
from pathlib import Path

import pytest

from benchmarks import rows
from docs import measured


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "results.json"
    monkeypatch.setattr(rows, "RESULTS", path)
    monkeypatch.setattr(measured, "RESULTS", path)
    return path


def test_a_ratio_is_the_median_of_the_pairs_and_above_1_where_ours_is_better(results: Path) -> None:
    rows.record(7, "a sweep", "the old one", "s", [(100, 150), (500, 1740), (10, 90)], 3)
    [row] = json.loads(results.read_text())
    assert (row["ratio"], row["low"], row["high"]) == (3.48, 1.5, 9.0)
    assert (row["ours"], row["peer"], row["pairs"], row["met"]) == (100, 150, 3, True)
    assert "| 7 | a sweep | 100 s | the old one | 150 s | 3.48 (1.50 to 9.00, 3) | 3 | met |" in (
        measured.measured()
    )


def test_a_row_takes_the_place_of_the_one_of_the_same_name(results: Path) -> None:
    rows.record(8, "the rest", "at most", "s", [(25, 20)], 1)
    rows.record(4, "an epoch", "Keras", "s", [(1, 2)], 1.5)
    rows.record(8, "the rest", "at most", "s", [(1740, 20)], 1)
    assert [row["row"] for row in json.loads(results.read_text())] == [4, 8]
    assert "| 1,740 s | at most | 20 s | 0.01 (0.01 to 0.01, 1) | 1 | missed |" in (
        measured.measured()
    )


def test_both_sides_are_first_in_turn() -> None:
    order = list[str]()

    def side(name: str, seconds: float) -> float:
        order.append(name)
        return seconds

    pairs = rows.in_turn(lambda: side("ours", 1), lambda: side("peer", 2), 3)
    assert pairs == [(1, 2)] * 3
    assert order == ["ours", "peer", "peer", "ours", "ours", "peer"]
