"""Turn the IDX files of source and target into tensors, and report on what is in them."""

from src import paths
from src.command import run
from src.config.data import FACTS, DataConfig
from src.config.params import load
from src.config.section import Section, Seed
from src.data.report import write_data_report
from src.data.splits import read_splits
from src.data.tensors import save_images
from src.runtime import generator
from src.tracking.runs import track


class Params(Section):
    seed: Seed
    data: DataConfig


def main() -> None:
    params = load(Params)
    with track("preprocess", params.model_dump()) as tracked:
        for role, dataset, folder in (
            ("source", params.data.source, paths.SOURCE_TENSORS),
            ("target", params.data.target, paths.TARGET_TENSORS),
        ):
            splits = read_splits(
                paths.RAW / dataset,
                FACTS[dataset].classes,
                params.data.val_fraction,
                generator(params.seed, "split"),
            )
            save_images(folder / paths.TRAIN, splits.train)
            save_images(folder / paths.VAL, splits.val)
            save_images(folder / paths.TEST, splits.test)
            write_data_report(splits, paths.DATA_REPORT / role)
            counts = {name: len(data) for name, data in splits._asdict().items()}
            print(f"{role} {dataset}: {counts}")
            tracked.metrics({f"{role}_{name}_images": count for name, count in counts.items()})
        tracked.file(paths.DATA_REPORT)


if __name__ == "__main__":
    run(main)
