"""Download the source and the target data set as IDX files, or build the embedded ones."""

from src.config.sections import DataConfig, Section
from src.core import paths
from src.core.cli import run
from src.data.checks import load_params
from src.data.sources import obtain, raw_folder
from src.tracking.runs import track


class Params(Section):
    data: DataConfig


def main() -> None:
    params = load_params(Params)
    with track("download", params.model_dump()):
        for dataset in sorted({params.data.source, params.data.target}):
            obtain(dataset, raw_folder(dataset), paths.downloads())


if __name__ == "__main__":
    run(main)
