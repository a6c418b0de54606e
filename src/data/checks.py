"""Checks of params.yaml against the data sets that it names, before any stage works."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from src.config.compression import Int8Config, StudentConfig
from src.config.networks import ModelConfig
from src.config.params import Params
from src.config.parsing import Sections, parse, read
from src.config.sections import Section, TrainConfig
from src.core.errors import UserError
from src.core.paths import PARAMS
from src.data.sources import check_name, facts_of


def load_params(sections: type[Sections], path: Path = PARAMS) -> Sections:
    """The sections of the file that are fields of `sections`, once the whole file is checked.

    Raises UserError, in one line with the dotted key, for anything wrong anywhere in the file.
    """
    tree = read(path)
    parse_params(tree, path)
    return parse(sections, {name: tree[name] for name in sections.model_fields}, path)


def parse_params(tree: Mapping[str, Any], path: Path = PARAMS) -> Params:
    """`tree` as the whole of params.yaml; UserError if it is invalid or does not fit the data."""
    params = parse(Params, tree, path)
    try:
        for check in (_names, _overlap, _image_size, _splits, _batches, _rehearsal, _smaller):
            check(params)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return params


def _names(params: Params) -> None:
    check_name("data.source", params.data.source)
    check_name("data.target", params.data.target)


def _overlap(params: Params) -> None:
    source, target = params.data.source, params.data.target
    if source != target and facts_of(source).origins & facts_of(target).origins:
        raise UserError(
            f"data.target: should be {source} or of another origin: test images of one of "
            f"{source} and {target} are training images of the other"
        )


def _image_size(params: Params) -> None:
    facts = facts_of(params.data.source)
    params.model.check_image(facts.height, facts.width)


def _splits(params: Params) -> None:
    for dataset in (params.data.source, params.data.target):
        images = _images_per_class(dataset)
        if not 0 < params.data.val_images(images) < images:
            raise UserError(
                f"data.val_fraction: should leave each class of {dataset} (about {images} "
                f"images) images to train and to validate, not {params.data.val_fraction}"
            )


def _batches(params: Params) -> None:
    _check_batch(params, "train", params.train, params.data.source, "all")
    labels = params.finetune.labels_per_class
    _check_batch(params, "finetune", params.finetune, params.data.target, labels)


def _check_batch(
    params: Params, section: str, config: TrainConfig, dataset: str, labels: object
) -> None:
    images = _images_per_class(dataset)
    per_class = images - params.data.val_images(images)
    if isinstance(labels, int):
        per_class = min(per_class, labels)
    most = per_class * len(facts_of(dataset).classes)
    if config.batch_size > most:
        raise UserError(
            f"{section}.batch_size: should be at most {most}, the number of training images, "
            f"not {config.batch_size}"
        )


def _rehearsal(params: Params) -> None:
    source, target = facts_of(params.data.source), facts_of(params.data.target)
    if params.finetune.rehearsal and source.classes != target.classes:
        raise UserError(
            "finetune.rehearsal: should be 0 where source and target have different classes, "
            f"not {params.finetune.rehearsal}"
        )


def _smaller(params: Params) -> None:
    check_smaller(params, params.compress.make)


def check_smaller(params: Params, names: Iterable[str]) -> None:
    """Raise UserError if these smaller models cannot be made.

    Nothing is said of those that nobody asks for: they may not fit another `model.name`.
    """
    facts, compress = facts_of(params.data.source), params.compress
    for name in compress.with_parents(names):
        config, key = compress.models[name], f"compress.models.{name}"
        if not isinstance(config, Int8Config):
            _check_batch(params, "compress.train", compress.train, params.data.source, "all")
        if isinstance(config, StudentConfig):
            values = {"network": config.values(params.model)}
            network = parse(_WithNetwork, values, Path(key)).network
            try:
                network.check_image(facts.height, facts.width)
            except UserError as error:
                raise UserError(f"{key}: {error}") from error


class _WithNetwork(Section):
    network: ModelConfig


def _images_per_class(dataset: str) -> int:
    # On average: in unbalanced data sets some classes have more images than others.
    facts = facts_of(dataset)
    return facts.train_images // len(facts.classes)
