import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import modify_yaml  # type: ignore[import-untyped]

from src.config.parsing import read
from src.config.sections import Section, Seed, TrainConfig
from src.config.values import flatten
from src.core.errors import UserError
from src.data.checks import load_params, parse_params
from tests.conftest import PARAMS, ROOT, shrunk


class OnlyTrain(Section):
    seed: Seed
    train: TrainConfig


@pytest.fixture
def params_file(tmp_path: Path) -> Path:
    copy = tmp_path / "params.yaml"
    copy.write_text(PARAMS.read_text())
    return copy


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_a_stage_gets_its_sections_only(params_file: Path) -> None:
    params = load_params(OnlyTrain, params_file)
    assert set(params.model_dump()) == {"seed", "train"}


def test_scientific_notation_without_a_point_is_a_number(params_file: Path) -> None:
    replace(params_file, "epsilon: 1.0e-8", "epsilon: 1e-7")
    assert load_params(OnlyTrain, params_file).train.optimizer.epsilon == 1e-7


def test_a_stage_refuses_what_is_wrong_in_another_section(params_file: Path) -> None:
    replace(params_file, "mistakes: ", "mistakes: -")
    with pytest.raises(UserError, match=r"evaluate\.mistakes: should be greater than"):
        load_params(OnlyTrain, params_file)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train__optimizer__learning_rate": -1}, r"train\.optimizer\.learning_rate: .*greater"),
        ({"train__optimizer__learning_rate": "1e-3"}, r"train\.optimizer\.learning_rate: .*number"),
        ({"train__optimizer__learning_rate": float("nan")}, r"learning_rate: .*finite"),
        ({"train__optimizer__learning_rate": float("inf")}, r"learning_rate: .*"),
        ({"train__optimizer__lr": 0.1, "train__epochs": -1}, r"lr: unknown key.*and 1 more"),
        ({"train__optimizer__lr": 0.1}, r"train\.optimizer\.lr: unknown key; .*learning_rate"),
        ({"train__optimizer__betas": [0.9]}, r"train\.optimizer\.betas\[1\]: missing"),
        ({"train__optimizer__betas": [0.9, 0.9, 0.9]}, r"betas: should have at most 2 entries"),
        ({"train__epochs": 0}, r"train\.epochs: .*greater"),
        ({"train__epochs": 1.5}, r"train\.epochs: .*integer"),
        ({"train__epochs": True}, r"train\.epochs: .*integer"),
        ({"train__schedule": None}, r"train\.schedule: should be a mapping, not None"),
        ({"train__batch_size": 3601}, r"train\.batch_size: should be at most 3600"),
        ({"finetune__batch_size": 51}, r"finetune\.batch_size: should be at most 50"),
        ({"finetune__labels_per_class": "some"}, r"finetune\.labels_per_class: should be all or"),
        ({"model__kernel_sizes": [3]}, r"model\.kernel_sizes: .*one value per entry"),
        ({"model__kernel_sizes": [4, 3]}, r"model\.kernel_sizes: should be odd"),
        ({"model__kernel_sizes": [3, 15]}, r"model\.kernel_sizes\[1\]: should be at most 14"),
        ({"model__kernel_sizes": [29, 3]}, r"model\.kernel_sizes\[0\]: should be at most 28"),
        ({"model__strides": [2]}, r"model\.strides: should have one value per entry of model.chan"),
        ({"model__pool_size": 29}, r"model\.pool_size: should be at most 28"),
        ({"model__channels": 32}, r"model\.channels: should be a list, not 32"),
        ({"model__hidden": [10**12]}, r"model\.hidden\[0\]: .*less than or equal to 65536"),
        ({"model__channels": []}, r"model\.channels: should have at least 1"),
        ({"model__activation": "swish"}, r"model\.activation: should be 'relu'"),
        (
            {"finetune__rehearsal": 1.0, "data__target": "fashion-mnist"},
            r"finetune\.rehearsal: should be 0 where source and target have different classes",
        ),
        (
            {"data__source": "emnist-digits", "data__target": "emnist-balanced"},
            r"data\.target: should be emnist-digits or of another origin",
        ),
        ({"data__source": "folder:nowhere"}, r"nowhere: not found; folder:PATH should name"),
        ({"data__source": "cifar"}, r"data\.source: should be mnist-5k, optdigits"),
        ({"data__target": "mnist"}, r"data\.target: should be mnist-5k or of another origin"),
        ({"data__val_fraction": 0.001}, r"data\.val_fraction: should leave each class of mnist-5k"),
        ({"data__val_fraction": 0.999}, r"data\.val_fraction: should leave each class of mnist-5k"),
        ({"runtime__device": "gpu"}, r"runtime\.device: should be auto, cpu, cuda or cuda:N"),
        ({"runtime__device": "cuda:\uff11"}, r"runtime\.device: should be auto"),
        ({"seed": -1}, r"seed: .*greater"),
        ({"extra": 1}, r"extra: unknown key; expected one of seed, runtime"),
    ],
    ids=str,
)
def test_bad_values_are_refused_in_one_line_with_the_dotted_key(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message) as refusal:
        shrunk(**changes)
    assert "\n" not in str(refusal.value)


def test_a_missing_key_is_refused(params_file: Path) -> None:
    replace(params_file, "seed: 0", "")
    with pytest.raises(UserError, match="seed: missing"):
        load_params(OnlyTrain, params_file)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed: 0", "seed: 0\nseed: 1", r"params\.yaml: line \d+: found duplicate key \"seed\""),
        ("seed: 0", "seed: [0", r"params\.yaml: line \d+"),
        ("seed: 0", "seed: \x07", r"params\.yaml: "),
        ("seed: 0", "seed: 2026-13-45", r"params\.yaml: month must be in 1..12"),
        ("seed: 0", "seed: !!int x", r"params\.yaml: invalid literal"),
    ],
)
def test_a_malformed_file_is_refused_in_one_line(
    params_file: Path, old: str, new: str, message: str
) -> None:
    replace(params_file, old, new)
    with pytest.raises(UserError, match=message) as refusal:
        load_params(OnlyTrain, params_file)
    assert "\n" not in str(refusal.value)


def test_an_absent_or_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not found"):
        read(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").touch()
    with pytest.raises(UserError, match="should be a mapping"):
        read(tmp_path / "params.yaml")


def test_sections_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        shrunk().train.epochs = 3  # type: ignore[misc]


def test_every_value_in_params_yaml_has_a_comment() -> None:
    """Those of finetune stand at the same keys of train, those of ranges and models above them."""
    tree = read(ROOT / "params.yaml")
    del tree["tune"]["space"], tree["compress"]["models"]
    commented = set()
    for line in (ROOT / "params.yaml").read_text().splitlines():
        if match := re.match(r"\s*(\w+):.*#", line):
            commented.add(match[1])
    leaves = {key.rpartition(".")[2] for key in flatten(tree)}
    assert leaves <= commented


def test_a_batch_may_be_as_large_as_the_training_split_and_no_larger() -> None:
    assert shrunk(train__batch_size=3600)
    assert shrunk(data__val_fraction=0.9, train__batch_size=400, finetune__batch_size=10)
    with pytest.raises(UserError, match=r"train\.batch_size: should be at most 400"):
        shrunk(data__val_fraction=0.9, train__batch_size=401)


def test_flatten_gives_dotted_keys() -> None:
    assert flatten({"a": 1, "b": {"c": [2], "d": {"e": None}}}) == {
        "a": 1,
        "b.c": [2],
        "b.d.e": None,
    }


def test_the_shipped_file_is_valid() -> None:
    parse_params(read(ROOT / "params.yaml"))


RATE = {"type": "float", "low": 0.001, "high": 0.1, "log": True}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({}, r"tune\.space: should have at least 1 entry"),
        ({"train.lr": RATE}, r"tune\.space\.train\.lr: should name a value of model or train"),
        ({"seed": RATE}, r"tune\.space\.seed: should name a value of model or train"),
        ({"train.optimizer": RATE}, r"optimizer: should name one of its values: name, learning_"),
        ({"train.clip_norm": 3}, r"tune\.space\.train\.clip_norm: should be a mapping, not 3"),
        ({"train.clip_norm": {**RATE, "type": "real"}}, r"clip_norm\.type: should be 'float', 'in"),
        ({"train.clip_norm": {"low": 1}}, r"clip_norm\.type: missing"),
        ({"train.clip_norm": {**RATE, "lo": 1}}, r"clip_norm\.lo: unknown key; .*low, high, log"),
        ({"train.clip_norm": {**RATE, "low": 0.2}}, r"clip_norm: low should be below high"),
        ({"train.clip_norm": {**RATE, "low": 0.0}}, r"clip_norm: low should be above 0 where log"),
        ({"train.clip_norm": {**RATE, "low": -1.0, "log": False}}, r"clip_norm: .*greater than 0"),
        ({"train.batch_size": RATE}, r"tune\.space\.train\.batch_size: .*integer, not 0\.001"),
        (
            {"model.kernel_sizes": {"type": "categorical", "choices": [3, 5]}},
            r"model\.kernel_sizes\.type: should be per_layer",
        ),
        (
            {"model.dropout": {"type": "per_layer", "choices": [0.1]}},
            r"model\.dropout\.type: should be float, int or categorical",
        ),
        (
            {"model.activation": {"type": "categorical", "choices": ["relu", "rely"]}},
            r"tune\.space\.model\.activation: should be 'relu', .*, not 'rely'",
        ),
        (
            {"model.activation": {"type": "categorical", "choices": ["relu", "relu"]}},
            r"model\.activation\.choices: should differ from each other",
        ),
        (
            {"finetune.epochs": RATE},
            r"finetune\.epochs: should name a value of model or train",
        ),
        (
            {
                "model.kernel_sizes": {"type": "per_layer", "choices": [3]},
                "model.kernel_sizes.1": {"type": "categorical", "choices": [5]},
            },
            r"kernel_sizes\.1: should not vary model\.kernel_sizes\.1 a second time",
        ),
    ],
)
def test_a_space_that_cannot_be_is_refused(space: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        shrunk(tune__space=space)
    assert "\n" not in str(caught.value)


def test_a_space_may_hold_what_is_impossible_in_some_combinations_only() -> None:
    choices = {"type": "per_layer", "choices": [3, 4, 27]}
    assert shrunk(tune__space={"model.kernel_sizes": choices})


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"train.clip_norm": RATE}, r"tune\.space\.train\.clip_norm: should be categorical where"),
        (
            {"train.epochs": {"type": "int", "low": 1, "high": 20_000, "log": True}},
            r"tune\.space: should have at most 10000 points .* not 20000",
        ),
    ],
)
def test_a_grid_must_have_an_end(space: dict[str, Any], message: str) -> None:
    assert shrunk(tune__space=space)
    with pytest.raises(UserError, match=message):
        shrunk(tune__space=space, tune__sampler="grid")


@pytest.mark.parametrize("key", [5, None, True])
def test_a_key_that_is_no_text_is_told_in_one_line(key: object) -> None:
    with pytest.raises(UserError, match=r"tune\.space.*string"):
        shrunk(tune__space={key: RATE})


def test_an_empty_list_has_nothing_to_vary() -> None:
    widths = {"model.hidden": {"type": "per_layer", "choices": [8, 16]}}
    assert shrunk(tune__space=widths)
    with pytest.raises(UserError, match=r"tune\.space\.model\.hidden: the list is empty"):
        shrunk(tune__space=widths, model__hidden=[])


@pytest.mark.parametrize(
    "path",
    [
        *("params.yaml", "dvc.yaml", "dvc.lock", "recipes/dvc.lock"),
        *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("recipes/*.yaml")),
    ],
)
def test_dvc_changes_no_line_that_it_need_not(path: str, tmp_path: Path) -> None:
    """As with `dvc exp run -S`, which writes the whole file anew."""
    copy = tmp_path / "copy.yaml"
    shutil.copy(ROOT / path, copy)
    with modify_yaml(copy):
        pass
    assert copy.read_text() == (ROOT / path).read_text()
