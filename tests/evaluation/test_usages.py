"""What evaluate finds out for the use of each model."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from src.core import paths
from src.core.runtime import generator
from src.data.splits import Splits
from src.evaluation.calibration import fit_temperature
from src.evaluation.subjects import SUBJECTS
from src.evaluation.usages import usages
from src.inference.served import Typical
from src.models.build import build_model
from src.models.checkpoint import Checkpoint, save_model
from src.models.scoring import predict
from tests.conftest import shrunk


def test_each_model_is_known_by_the_data_that_it_learned_from(
    few: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config, shape = shrunk().model, few.train.image_shape
    models = {}
    for number, subject in enumerate(SUBJECTS):
        draw = generator(number, "weights")
        model = build_model(config, shape, 10, few.train.mean, few.train.std, draw)
        models[subject.name] = Checkpoint(model.eval(), config, shape, few.train.classes)
        save_model(subject.path, models[subject.name])
    turned = [replace(each, images=each.images.flip(-1)) for each in (few.train, few.val)]
    trains = {"source": few.train, "target": turned[0]}
    vals = {"source": few.val, "target": turned[1]}
    found = json.loads(usages(SUBJECTS, models, trains, vals).files[paths.USAGE.name])
    for name, home, learned in (
        ("base", "source", ["source"]),
        ("finetuned", "target", ["source", "target"]),
        ("scratch", "target", ["target"]),
    ):
        typical = Typical.of([trains[role].images for role in learned])
        seen = torch.cat([vals[role].images for role in learned])
        logits = predict(models[name].model, vals[home])
        assert found[name]["home"] == home
        assert found[name]["furthest"] == typical.furthest(seen)
        assert found[name]["temperature"] == fit_temperature(logits, vals[home].labels)
    assert len({each["furthest"] for each in found.values()}) == 3
