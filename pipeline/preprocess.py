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
        datasets = {"source": params.data.source, "target": params.data.target}
        roles = {
            role: read_splits(
                paths.RAW / dataset,
                FACTS[dataset].classes,
                params.data.val_images,
                generator(params.seed, "split"),
            )
            for role, dataset in datasets.items()
        }
        folders = {"source": paths.SOURCE_TENSORS, "target": paths.TARGET_TENSORS}
        for role, splits in roles.items():
            save_images(folders[role] / paths.TRAIN, splits.train)
            save_images(folders[role] / paths.VAL, splits.val)
            save_images(folders[role] / paths.TEST, splits.test)
            counts = {name: len(data) for name, data in splits._asdict().items()}
            print(f"{role} {datasets[role]}: {counts}")
            tracked.metrics({f"{role}_{name}_images": count for name, count in counts.items()})
        write_data_report(roles, paths.DATA_REPORT)
        tracked.file(paths.DATA_REPORT)


if __name__ == "__main__":
    run(main)
