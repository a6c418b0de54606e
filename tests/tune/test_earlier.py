"""A study that an earlier version left: optuna-f7f08c5.log, with the tests' parameters."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from src.config.parsing import read
from src.core.errors import UserError
from src.data.checks import parse_params
from src.tune.confirm import choose
from src.tune.space import Space
from src.tune.storage import study_opened
from tests.conftest import PARAMS, ROOT


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    shutil.copy(ROOT / "tests/fixtures/optuna-f7f08c5.log", tmp_path / "optuna.log")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return read(PARAMS)


def test_the_confirmed_winner_of_an_earlier_version_can_be_promoted(tree: dict[str, Any]) -> None:
    tree["model"]["name"] = "cnn"  # which files of that version do not have
    space = Space(tree)
    with study_opened("sweep", None, space, {"params": space.constant()}) as study:
        chosen, why = choose(study, parse_params(tree))
    assert chosen.name == "trial 1"
    assert "trial 1: val loss 0.3986, the lowest mean over 2 seeds" in why


def test_a_study_of_an_earlier_version_is_not_continued_with_other_code(
    tree: dict[str, Any],
) -> None:
    space = Space(tree)
    now = {"params": space.constant(), "files": {"src/training": "0"}}
    message = "study sweep: .* has changed.* since the study was created; .*--study NAME"
    with (
        pytest.raises(UserError, match=message) as refusal,
        study_opened("sweep", None, space, now, create=True),
    ):
        pass
    assert "\n" not in str(refusal.value)
