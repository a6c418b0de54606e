import torch

from src.config.networks import MlpConfig
from src.core.runtime import generator
from src.data.splits import Splits
from src.evaluation.features import MAPS, feature_maps, features, filters
from src.evaluation.predictions import evaluate_all
from src.evaluation.subjects import SUBJECTS
from src.models.build import build_model
from src.models.checkpoint import Checkpoint
from tests.conftest import shrunk


def _models(few: Splits, name: str) -> dict[str, Checkpoint]:
    config = shrunk().model
    if name == "mlp":
        shared = config.model_dump(include={"activation", "hidden", "dropout", "normalisation"})
        config = MlpConfig(name="mlp", initialisation="fan_in", **shared)
    data = few.train
    shape, classes = data.image_shape, data.classes
    model = build_model(config, shape, len(classes), data.mean, data.std, generator(0, "weights"))
    return dict.fromkeys(
        ("base", "finetuned", "scratch"), Checkpoint(model, config, shape, classes)
    )


def test_the_maps_are_what_the_convolutions_make_of_the_image(few: Splits) -> None:
    [base, *_] = _models(few, "cnn").values()
    image = few.test.images[0]
    maps = feature_maps(base.network, image)
    made = (image[None].float() - base.network.mean) / base.network.std
    for layer, found in zip(base.network.body, maps, strict=False):
        made = layer(made)
        torch.testing.assert_close(found, made[0])
    assert [each.shape for each in maps] == [(4, 14, 14), (8, 7, 7)]
    assert filters(base).shape == (4, 1, 3, 3)
    assert feature_maps(base.network, image)[0].equal(maps[0])  # no hook is left behind


def test_a_network_without_convolutions_has_filters_as_large_as_the_image(few: Splits) -> None:
    [base, *_] = _models(few, "mlp").values()
    assert filters(base).shape == (16, 1, 28, 28)
    assert feature_maps(base.network, few.test.images[0]) == []
    models = _models(few, "mlp")
    sets = {"source": few.test, "target": few.test}
    found = features(evaluate_all(SUBJECTS, models, sets, shrunk().evaluate), models)
    assert {*found.figures} == {"filters_base.svg", "filters_finetuned.svg"}


def test_each_model_has_its_pictures(few: Splits) -> None:
    models = _models(few, "cnn")
    sets = {"source": few.test, "target": few.test}
    found = features(evaluate_all(SUBJECTS, models, sets, shrunk().evaluate), models)
    assert {*found.figures} == {
        f"{kind}_{model}.svg" for kind in ("filters", "features") for model in ("base", "finetuned")
    }
    alt = str(found.figures["features_base.svg"].get_label())
    assert alt.endswith(f"at most {MAPS} maps of each layer; image; layer 1, 14x14; layer 2, 7x7")
