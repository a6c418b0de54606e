"""Refuse a bad params.yaml and stale data in one line, also when no stage is about to read them."""

from src.config.data import own_folder, raw_folder
from src.config.params import load
from src.config.whole import Params
from src.core.cli import run
from src.core.errors import UserError
from src.data.sources import is_as_taken_over


def main() -> None:
    data = load(Params).data
    for dataset in {data.source, data.target}:
        own, taken = own_folder(dataset), raw_folder(dataset)
        # DVC does not look outside the repository.
        if own and own.exists() and taken.exists() and not is_as_taken_over(own, taken):
            raise UserError(
                f"{own}: changed since it was taken over; `dvc repro --force --single-item "
                "download` takes it over again"
            )


if __name__ == "__main__":
    run(main)
