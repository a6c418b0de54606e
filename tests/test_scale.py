"""The simulation of docs/scale.md: its workers take part in a real sweep, in steps and parts."""

from pathlib import Path

import pytest

from benchmarks import scale
from benchmarks.scale import PARTS, Marks, Sweep


def test_simulated_workers_finish_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "STEP", 6)
    sweep = Sweep(tmp_path / "study", None)
    marks = Marks(sweep.clock)
    sweep.run(workers=4, trials=12, observers=[marks])
    tally = sweep.study.tally()
    assert (tally.finished, tally.failed) == (12, 0)
    assert tally.complete > 0 < tally.pruned
    steps = marks.steps(*PARTS)
    assert len(steps) == 2
    assert all(seconds > 0 for step in steps for seconds in step.values())
    assert sweep.size() > 0 < sweep.reopen()
