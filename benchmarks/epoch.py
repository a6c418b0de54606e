"""Time an epoch of the default recipe: idxflow's loop, and the usual DataLoader loop beside it.

    python -m benchmarks.epoch

Both train the network of params.yaml on the tensors that `make repro` left, with the same batch
size, optimizer and augmentation (shift, rotation, scale), on as many CPU threads as params.yaml
says. The usual loop is that of PyTorch's tutorials: a Dataset of single images with torchvision
transforms, a DataLoader with as many workers, contiguous memory. The two take turns, so that a
machine whose speed drifts slows both; the first turn of each is not counted.
"""

import statistics
import time

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from src.config.params import Params
from src.config.sections import TrainConfig
from src.core import paths
from src.core.runtime import generator
from src.data.checks import load_params
from src.data.imageset import ImageSet, TrainVal, load_images
from src.models.build import build_model
from src.models.network import Network
from src.training.fit import fit
from src.training.optim import LayerPlan, build_optimizer
from src.training.step import Step

TURNS = 5


class Single(Dataset[tuple[Tensor, int]]):
    """One augmented image at a time, as torchvision's data sets give them."""

    def __init__(self, data: ImageSet, config: TrainConfig) -> None:
        limits = config.augment
        self._data = data
        self._transform = v2.Compose(
            [
                v2.ToDtype(torch.float32),
                v2.RandomAffine(
                    degrees=limits.rotation,
                    translate=(limits.shift / 28, limits.shift / 28),
                    scale=(1 - limits.scale, 1 + limits.scale),
                    interpolation=v2.InterpolationMode.BILINEAR,
                ),
            ]
        )

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(self._data.images[index]), int(self._data.labels[index])


def usual_epoch(
    model: nn.Module, loader: DataLoader[tuple[Tensor, int]], config: TrainConfig
) -> None:
    optimizer = build_optimizer([model], [LayerPlan()], config.optimizer)
    model.train()
    for pixels, labels in loader:
        loss = F.cross_entropy(model(pixels), labels, label_smoothing=config.label_smoothing)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def fresh(params: Params, data: ImageSet) -> Network:
    random = generator(params.seed, "weights")
    return build_model(params.model, data.image_shape, 10, data.mean, data.std, random)


def main() -> None:
    params = load_params(Params)
    torch.set_num_threads(params.runtime.threads)
    data = load_images(paths.SOURCE_TENSORS / paths.TRAIN)
    tiny = data.subset(torch.arange(10))  # validation is in one loop only: keep it out of the time
    once = params.train.model_copy(update={"epochs": 1})
    loader = DataLoader(
        Single(data, once), once.batch_size, shuffle=True, num_workers=params.runtime.threads
    )
    seconds: dict[str, list[float]] = {"usual": [], "idxflow": []}
    for _ in range(TURNS + 1):
        usual = fresh(params, data)
        started = time.perf_counter()
        usual_epoch(usual, loader, once)
        seconds["usual"].append(time.perf_counter() - started)
        ours = fresh(params, data).to(memory_format=torch.channels_last)
        started = time.perf_counter()
        step = Step(ours, once, [LayerPlan()] * len(ours.layers), data, params.seed)
        fit(step, TrainVal(data, tiny), params.seed)
        seconds["idxflow"].append(time.perf_counter() - started)
    for name, times in seconds.items():
        print(f"{name:>8}: median {statistics.median(times[1:]):.2f} s an epoch of {len(data)}")
    pairs = zip(seconds["usual"][1:], seconds["idxflow"][1:], strict=True)
    ratios = sorted(usual / ours for usual, ours in pairs)
    print(f"   ratio: median {statistics.median(ratios):.2f}, {ratios[0]:.2f} to {ratios[-1]:.2f}")


if __name__ == "__main__":
    main()
