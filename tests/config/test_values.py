from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from src.config.params import Params
from src.config.parsing import read
from src.config.values import rewrite, value_at, with_values
from src.core.errors import UserError
from src.data.checks import load_params, parse_params
from tests.conftest import PARAMS, ROOT

TREE = {"model": {"kernel_sizes": [3, 5], "dropout": 0.3}, "seed": 0}


def test_a_value_is_found_by_its_dotted_name() -> None:
    assert value_at(TREE, "seed") == 0
    assert value_at(TREE, "model.dropout") == 0.3
    assert value_at(TREE, "model.kernel_sizes.1") == 5


@pytest.mark.parametrize("name", ["", "model.", "model.width", "model.kernel_sizes.2", "seed.0"])
def test_what_is_not_there_is_a_key_error(name: str) -> None:
    with pytest.raises(KeyError):
        value_at(TREE, name)


def test_values_are_placed_in_a_copy() -> None:
    changed = with_values(TREE, {"seed": 7, "model.kernel_sizes.0": 9})
    assert changed == {"model": {"kernel_sizes": [9, 5], "dropout": 0.3}, "seed": 7}
    assert TREE["seed"] == 0
    assert value_at(TREE, "model.kernel_sizes") == [3, 5]


def test_rewriting_changes_the_values_and_not_one_other_character() -> None:
    text = (ROOT / "params.yaml").read_text()
    lines = rewrite(text, {"train.batch_size": 128, "model.kernel_sizes.1": 5}).splitlines()
    before = text.splitlines()
    changed = [number for number, line in enumerate(before) if line != lines[number]]
    assert len(lines) == len(before)
    assert [lines[number].split("#")[0].strip() for number in changed] == [
        "kernel_sizes: [3, 5, 3]",
        "batch_size: 128",
    ]
    assert all(before[number].split("#")[1] == lines[number].split("#")[1] for number in changed)


def test_every_form_of_value_can_be_written() -> None:
    text = "a: 1 # one\nb: [x, 'y z']\nc: ~\nd: true\ne: |\n  long\nf: 0.5\ng:   # empty\n"
    values = {"a": 2.5e-7, "b.1": "relu", "c": 3, "d": False, "f": None, "g": 0.5}
    assert rewrite(text, values) == (
        "a: 2.5e-07 # one\nb: [x, relu]\nc: 3\nd: false\ne: |\n  long\nf: null\ng: 0.5   # empty\n"
    )


def test_a_value_that_others_refer_to_is_left_alone() -> None:
    with pytest.raises(UserError, match="a: should have no anchor"):
        rewrite("a: &rate 0.1\nb: *rate\n", {"a": 0.2})


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_come_back_to_the_last_bit_and_as_floats(value: float) -> None:
    """Also to readers of YAML 1.1, to which 1e-05 would be a string: ruamel warns of that."""
    reader = YAML(typ="safe", pure=True)
    reader.version = (1, 1)
    found = reader.load(rewrite("rate: 1.0 # a comment\n", {"rate": value}))["rate"]
    assert isinstance(found, float)
    assert found == value


def test_the_rewritten_file_is_the_tree_with_those_values(tmp_path: Path) -> None:
    values = {"train.optimizer.learning_rate": 1e-05, "model.activation": "gelu"}
    written = tmp_path / "params.yaml"
    written.write_text(rewrite(PARAMS.read_text(), values))
    assert load_params(Params, written) == parse_params(with_values(read(PARAMS), values))
