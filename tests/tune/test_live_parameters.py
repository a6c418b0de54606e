"""Every key of params.yaml changes a result: no value stands there that nobody reads.

LIVE says where a key acts: another value of it, and what else must be set for it to act.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import optuna
import pytest
import torch

from src.config.params import Params
from src.config.parsing import read
from src.config.values import flatten, with_values
from src.core.errors import UserError
from src.core.runtime import describe, generator, set_up
from src.data.catalogue import DIGITS
from src.data.checks import parse_params
from src.data.splits import Splits, read_splits
from src.evaluation.accuracy import details
from src.evaluation.predictions import evaluate_all
from src.evaluation.subjects import SUBJECTS, TENSORS
from src.models.checkpoint import to_bytes
from src.training.finetune import finetune, limit_labels, rehearse
from src.training.scratch import train_from_scratch
from src.training.smaller import ORIGINALS, SmallerParams, make
from src.tune.confirm import Candidate, candidates
from src.tune.samplers import build_pruner, build_sampler
from src.tune.space import Space
from tests.conftest import PARAMS, ROOT
from tests.tune.conftest import BeginStudy

SGD = {"optimizer.name": "sgd"}
STEPS = {"schedule.name": "step", "schedule.step_epochs": 1, "epochs": 2}
FLAT = {"schedule.name": "constant"}
WORSE = {**FLAT, "optimizer.learning_rate": 0.5, "epochs": 3}  # the first epoch is not the last

# Of train, finetune and compress.train, which have them in common.
TRAINING: dict[str, tuple[Any, dict[str, Any]]] = {
    "epochs": (3, {}),
    "batch_size": (16, {}),
    "optimizer.name": ("adam", {}),
    "optimizer.learning_rate": (0.01, {}),
    "optimizer.weight_decay": (0.5, {}),
    "optimizer.momentum": (0.5, SGD),
    "optimizer.nesterov": (False, SGD),
    "optimizer.betas": ([0.5, 0.9], {}),
    "optimizer.epsilon": (0.1, {}),
    "schedule.name": ("cosine", {}),
    "schedule.warmup": (0.5, {}),
    "schedule.step_epochs": (2, STEPS),
    "schedule.step_factor": (0.5, STEPS),
    "augment.shift": (0.0, {}),
    "augment.rotation": (0.0, {}),
    "augment.scale": (0.0, {}),
    "label_smoothing": (0.2, {}),
    "clip_norm": (0.01, SGD),
    "patience": (1, {**WORSE, "epochs": 8}),
    "keep_best": (True, WORSE),
}
LIVE: dict[str, tuple[Any, dict[str, Any]]] = {
    "seed": (1, {}),
    "runtime.device": ("cuda:7", {}),
    "runtime.threads": (2, {}),
    "runtime.portable": (True, {}),  # in a process of its own: tests/core/test_runtime.py
    "data.source": ("optdigits", {"data.target": "mnist-5k"}),
    "data.target": ("mnist-5k", {}),
    "data.val_fraction": (0.2, {}),
    "model.name": ("mlp", {}),
    "model.normalisation": ("unit", {}),
    "model.channels": ([4, 4], {}),
    "model.padding": ("valid", {}),
    "model.kernel_sizes": ([5, 3], {}),
    "model.strides": ([2, 1], {}),
    "model.batch_norm": (False, {}),
    "model.activation": ("tanh", {}),
    "model.pool": ("average", {}),
    "model.pool_size": (1, {}),
    "model.hidden": ([8], {}),
    "model.dropout": (0.0, {}),
    "model.initialisation": ("glorot", {}),
    **{
        f"{section}.{key}": (value, {f"{section}.{name}": each for name, each in others.items()})
        for section in ("train", "finetune")
        for key, (value, others) in TRAINING.items()
    },
    **{
        f"compress.train.{key}": (
            value,
            {f"compress.train.{name}": each for name, each in others.items()},
        )
        for key, (value, others) in TRAINING.items()
    },
    "compress.original": ("finetuned", {}),
    "compress.make": (["int8"], {}),
    "compress.models": (
        {"student": {"type": "student", "parent": "original", "network": {"hidden": [3]}}},
        {},
    ),
    "compress.distil.temperature": (1.0, {}),
    "compress.distil.weight": (0.1, {}),
    "finetune.strategy": ("head", {}),
    "finetune.layer_decay": (0.1, {}),
    "finetune.labels_per_class": (2, {"finetune.batch_size": 5}),
    "finetune.rehearsal": (1.0, {}),
    "evaluate.calibration_bins": (2, {}),
    "evaluate.mistakes": (1, {}),
    "tune.sampler": ("qmc", {}),
    "tune.pruner": ("hyperband", {}),
    "tune.confirm.top": (2, {}),
    "tune.confirm.seeds": (3, {}),
    "tune.space": ({"train.batch_size": {"type": "int", "low": 8, "high": 9, "log": False}}, {}),
}


def test_the_table_has_every_key_of_the_file() -> None:
    named = ("tune.space", "compress.models")  # whose keys are names
    keys = {
        next((whole for whole in named if key.startswith(whole)), key)
        for key in flatten(read(ROOT / "params.yaml"))
    }
    assert keys == set(LIVE)


@pytest.fixture(scope="module")
def results(few: Splits, raw: Any) -> Any:
    """By section, what a configuration leads to; each is computed once."""

    def trained(params: Params) -> bytes:
        model, train = params.model, params.train
        subset = few.train.subset(torch.arange(64))
        return to_bytes(train_from_scratch(model, train, subset, few.val, params.seed).checkpoint)

    def tuned(params: Params) -> bytes:
        config, seed = params.finetune, params.seed
        base = train_from_scratch(
            parsed({}).model, parsed({}).train, few.train.subset(torch.arange(64)), few.val, 0
        ).checkpoint
        limited = limit_labels(few.train, config.labels_per_class, seed)
        mixed = rehearse(limited, few.val, config.rehearsal, seed) if config.rehearsal else limited
        return to_bytes(finetune(base, config, mixed, few.val, seed).checkpoint)

    def split(params: Params) -> list[int]:
        names = (params.data.source, params.data.target)
        sets = [
            read_splits(raw / name, DIGITS, params.data.val_images, generator(0, "split"))
            for name in names
        ]
        return [int(data.images.sum()) for splits in sets for data in splits]

    def evaluated(params: Params) -> tuple[Any, Any]:
        base = train_from_scratch(params.model, params.train, few.train, few.val, 0).checkpoint
        tests = {"source": few.test, "target": few.test}
        found = evaluate_all(
            SUBJECTS, dict.fromkeys(("base", "finetuned", "scratch"), base), tests, params.evaluate
        )
        drawn = details(found, params.evaluate.mistakes).figures
        return found["base"]["source"].metrics["ece"], [each.get_label() for each in drawn.values()]

    def smaller(params: Params) -> dict[str, bytes]:
        sections = params.model_dump(include={*SmallerParams.model_fields})
        images = {
            f"{role}.{name}": few.train.subset(torch.arange(64))
            for role in TENSORS
            for name in ("train", "val")
        }
        original = result("seed", (("seed", str([*ORIGINALS].index(params.compress.original))),))
        return {
            name: make(name, SmallerParams.model_validate(sections), original, images, [])
            for name in params.compress.make or ["student"]
        }

    sections = {"data": split, "finetune": tuned, "compress": smaller, "evaluate": evaluated}

    @cache
    def result(section: str, changes: tuple[tuple[str, str], ...]) -> Any:
        return sections.get(section, trained)(parsed({key: eval(value) for key, value in changes}))  # noqa: S307

    return result


def parsed(changes: Mapping[str, Any]) -> Params:
    tree = with_values({**read(PARAMS), "model": {"name": "cnn", **read(PARAMS)["model"]}}, changes)
    if tree["model"]["name"] == "mlp":
        kept = ("name", "normalisation", "hidden", "activation", "dropout", "initialisation")
        tree["model"] = {key: tree["model"][key] for key in kept}
        del tree["tune"]["space"]["model.kernel_sizes"]
    return parse_params(tree)


@pytest.mark.parametrize("key", [key for key in LIVE if not key.startswith(("tune", "runtime"))])
def test_a_parameter_changes_a_result(results: Any, key: str) -> None:
    value, others = LIVE[key]
    section = key.partition(".")[0]

    def result(changes: Mapping[str, Any]) -> Any:
        return results(section, tuple((name, repr(each)) for name, each in changes.items()))

    assert result(others) != result({**others, key: value})


def test_the_runtime_changes_where_and_how_it_is_computed() -> None:
    with pytest.raises(UserError, match=r"runtime\.device: cuda:7"):
        set_up(LIVE["runtime.device"][0], 1, portable=False)
    two = describe(set_up("cpu", LIVE["runtime.threads"][0], portable=False))
    assert two["threads"] == "2" != describe(set_up("cpu", 1, portable=False))["threads"]


def test_the_sampler_draws_and_the_pruner_stops_differently() -> None:
    before, after = (
        parsed({}).tune,
        parsed({"tune.sampler": "qmc", "tune.pruner": "hyperband"}).tune,
    )
    space = Space(read(PARAMS)).distributions

    def drawn(config: Any) -> Any:
        study = optuna.create_study(sampler=build_sampler(config, 0, 0))
        return [study.ask(space).params for _ in range(2)]

    assert drawn(before) != drawn(after)
    assert type(build_pruner(before, 8)) is not type(build_pruner(after, 8))


def test_the_space_changes_what_is_drawn_and_the_study() -> None:
    other = Space(
        {**read(PARAMS), "tune": {**read(PARAMS)["tune"], "space": LIVE["tune.space"][0]}}
    )
    assert other.distributions.keys() == {"train.batch_size"}
    assert other.constant() != Space(read(PARAMS)).constant()


def test_the_confirmation_trains_as_many_trials_and_seeds_as_it_says(begin: BeginStudy) -> None:
    study = begin()
    for loss in (0.3, 0.2, 0.1):
        number = study.claim(3)
        assert number is not None
        study.complete(number, loss)
    for top in (1, LIVE["tune.confirm.top"][0]):
        assert len(candidates(study, parsed({"tune.confirm.top": top}))) == top + 1
    for seeds in (2, LIVE["tune.confirm.seeds"][0]):
        assert len(Candidate("x", parsed({"tune.confirm.seeds": seeds})).jobs()) == seeds
