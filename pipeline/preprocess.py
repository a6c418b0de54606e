"""Turn the IDX files of source and target into tensors, and describe what is in them."""

from src.config.sections import DataConfig, Section, Seed
from src.core import paths
from src.core.cli import run
from src.core.console import bar
from src.core.finding import publish
from src.core.runtime import generator
from src.data.checks import load_params
from src.data.imageset import save_images
from src.data.overview import overview
from src.data.sources import classes_of, raw_folder
from src.data.splits import Splits, read_splits
from src.tracking.runs import track


class Params(Section):
    seed: Seed
    data: DataConfig


def read(params: Params, dataset: str, image_shape: tuple[int, int, int] | None = None) -> Splits:
    return read_splits(
        raw_folder(dataset),
        classes_of(dataset),
        params.data.val_images,
        generator(params.seed, "split"),
        image_shape,
        paths.TENSORS,
    )


def main() -> None:
    params = load_params(Params)
    with track("preprocess", params.model_dump()) as tracked:
        paths.TENSORS.mkdir(parents=True, exist_ok=True)
        with bar("preprocess", 4, "steps") as shown:
            source = read(params, params.data.source)
            shown.update()
            # One model reads both: the target's images are converted to the source's size.
            target = read(params, params.data.target, source.train.image_shape)
            shown.update()
            roles = {"source": source, "target": target}
            folders = {"source": paths.SOURCE_TENSORS, "target": paths.TARGET_TENSORS}
            for role, splits in roles.items():
                for name, data in zip((paths.TRAIN, paths.VAL, paths.TEST), splits, strict=True):
                    save_images(folders[role] / name, data)
            shown.update()
            found = overview(roles, {"source": params.data.source, "target": params.data.target})
            shown.update()
        publish([found], paths.DATA_REPORT, tracked)


if __name__ == "__main__":
    run(main)
