from pathlib import Path
from typing import Any

import pytest
import torch

from src.core.errors import UserError
from src.data.splits import Splits
from src.models.checkpoint import load_model, save_model
from src.models.mlp import MLP
from src.models.scoring import predict, score
from src.training.finetune import finetune
from src.training.scratch import train_from_scratch
from tests.conftest import shrunk

SECTION: dict[str, Any] = {
    "name": "mlp",
    "normalisation": "dataset",
    "hidden": [32, 16],
    "activation": "relu",
    "dropout": 0.0,
    "initialisation": "fan_in",
}
NO_KERNELS = {"train.batch_size": {"type": "categorical", "choices": [16, 32]}}


def test_another_network_trains_is_saved_and_is_fine_tuned(tmp_path: Path, few: Splits) -> None:
    params = shrunk(model=SECTION, tune__space=NO_KERNELS, train__epochs=8)
    base = train_from_scratch(params.model, params.train, few.train, few.val, 0).checkpoint
    assert isinstance(base.model, MLP)
    assert score(base.model, few.test).accuracy > 0.6
    save_model(tmp_path / "model.safetensors", base)
    loaded = load_model(tmp_path / "model.safetensors", torch.device("cpu"))
    assert torch.equal(predict(loaded.model, few.test), predict(base.model, few.test))
    tuned = finetune(loaded, params.finetune, few.train, few.val, 0).checkpoint
    assert len(tuned.network.layers) == 3
    assert not torch.equal(predict(tuned.model, few.test), predict(base.model, few.test))


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({**SECTION, "name": "rnn"}, r"model\.name: should be 'cnn', 'mlp'"),
        ({**SECTION, "channels": [8]}, r"model\.channels: unknown key; expected one of name, nor"),
        ({**SECTION, "hidden": 3}, r"model\.hidden: should be a list, not 3"),
        (3, r"model: should be a mapping, not 3"),
    ],
)
def test_a_wrong_network_is_refused_by_its_key(section: object, message: str) -> None:
    with pytest.raises(UserError, match=rf"params\.yaml: {message}"):
        shrunk(model=section, tune__space=NO_KERNELS)


def test_a_space_of_another_network_is_refused() -> None:
    message = r"tune\.space\.model\.kernel_sizes: should name a value of model or train"
    with pytest.raises(UserError, match=message):
        shrunk(model=SECTION)
