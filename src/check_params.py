"""Refuse a bad params.yaml and stale data in one line, also when no stage is about to read them."""

from src.config.params import Params
from src.core.cli import run
from src.core.errors import UserError
from src.data.checks import load_params
from src.data.sources import custom_folder, is_current_copy, raw_folder


def main() -> None:
    data = load_params(Params).data
    for dataset in {data.source, data.target}:
        own, taken = custom_folder(dataset), raw_folder(dataset)
        # DVC does not look outside the repository.
        if own and own.exists() and taken.exists() and not is_current_copy(own, taken):
            raise UserError(
                f"{own}: changed since it was taken over; `dvc repro --force --single-item "
                "download` takes it over again"
            )


if __name__ == "__main__":
    run(main)
