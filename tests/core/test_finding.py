from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

from src.core.finding import Finding, publish
from src.core.plots import blank


class Record:
    """What a run in MLflow would be given."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.files: list[Path] = []
        self.notes: list[str] = []

    def metrics(self, values: Mapping[str, float]) -> None:
        self.values |= values

    def file(self, path: Path) -> None:
        self.files.append(path)

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_everything_of_a_finding_reaches_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, record = pd.DataFrame({"n": [1, 2]}), Record()
    first = Finding(
        {"sub/table.csv": table}, {"empty.svg": blank(1, 1, "nothing")}, {"n": 3.0}, "Three in all."
    )
    publish([first, Finding(metrics={"m": 1.0})], tmp_path / "report", record)
    assert capsys.readouterr().out == f"Three in all.\nwritten to {tmp_path / 'report'}\n"
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "report/sub/table.csv"), table)
    assert (tmp_path / "report/empty.svg").read_text().startswith("<?xml")
    assert record.values == {"n": 3.0, "m": 1.0}
    assert (tmp_path / "report/summary.txt").read_text() == "Three in all.\n"
    assert record.files == [tmp_path / "report"]
    assert record.notes == ["```\nThree in all.\n```"]
