"""The whole of params.yaml, and what must hold between its sections."""

from typing import Self

from pydantic import model_validator

from src.config.data import FACTS, DataConfig
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
    def _model_fits_images(self) -> Self:
        facts = FACTS[self.data.source]
        self.model.map_sizes(facts.height, facts.width)
        return self

    @model_validator(mode="after")
    def _batches_fit_data(self) -> Self:
        for key, batch_size, images in (
            ("train.batch_size", self.train.batch_size, self._train_images()),
            ("finetune.batch_size", self.finetune.batch_size, self._finetune_images()),
        ):
            if batch_size > images:
                raise ValueError(
                    f"{key}: should be at most {images}, the number of training images, "
                    f"not {batch_size}"
                )
        return self

    def _train_images(self) -> int:
        return int(FACTS[self.data.source].train_images * (1 - self.data.val_fraction))

    def _finetune_images(self) -> int:
        facts = FACTS[self.data.target]
        images = int(facts.train_images * (1 - self.data.val_fraction))
        if self.finetune.labels_per_class == "all":
            return images
        return min(images, self.finetune.labels_per_class * facts.classes)
