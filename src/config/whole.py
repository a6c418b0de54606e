"""The whole of params.yaml, and what must hold between its sections."""

from typing import Literal, Self

from pydantic import model_validator

from src.config.data import FACTS, DataConfig, Dataset
from src.config.evaluate import EvaluateConfig
from src.config.finetune import FinetuneConfig
from src.config.model import ModelConfig
from src.config.runtime import RuntimeConfig
from src.config.section import Section, Seed
from src.config.train import TrainConfig


class Params(Section):
    seed: Seed
    runtime: RuntimeConfig
    data: DataConfig
    model: ModelConfig
    train: TrainConfig
    finetune: FinetuneConfig
    evaluate: EvaluateConfig

    @model_validator(mode="after")
    def _test_images_are_unseen(self) -> Self:
        source, target = self.data.source, self.data.target
        if source != target and FACTS[source].origin == FACTS[target].origin:
            raise ValueError(
                f"data.target: should be {source} or of another origin: test images of one of "
                f"{source} and {target} are training images of the other"
            )
        return self

    @model_validator(mode="after")
    def _model_fits_images(self) -> Self:
        facts = FACTS[self.data.source]
        self.model.map_sizes(facts.height, facts.width)
        return self

    @model_validator(mode="after")
    def _splits_hold_every_class(self) -> Self:
        for dataset in (self.data.source, self.data.target):
            images = FACTS[dataset].train_images // len(FACTS[dataset].classes)
            if not 0 < self.data.val_images(images) < images:
                raise ValueError(
                    f"data.val_fraction: should leave each class of {dataset} (about {images} "
                    f"images) images to train and to validate, not {self.data.val_fraction}"
                )
        return self

    @model_validator(mode="after")
    def _batches_fit_data(self) -> Self:
        labels = self.finetune.labels_per_class
        per_class = self._train_images_per_class(self.data.target)
        few = per_class if labels == "all" else min(per_class, labels)
        self._check_batch("train", self.data.source, self._train_images_per_class(self.data.source))
        self._check_batch("finetune", self.data.target, few)
        return self

    def _check_batch(
        self, section: Literal["train", "finetune"], dataset: Dataset, each: int
    ) -> None:
        images = each * len(FACTS[dataset].classes)
        batch_size = getattr(self, section).batch_size
        if batch_size > images:
            raise ValueError(
                f"{section}.batch_size: should be at most {images}, the number of training "
                f"images, not {batch_size}"
            )

    def _train_images_per_class(self, dataset: Dataset) -> int:
        # On average: data sets that are not balanced have a few more of one class than of another.
        images = FACTS[dataset].train_images // len(FACTS[dataset].classes)
        return images - self.data.val_images(images)
