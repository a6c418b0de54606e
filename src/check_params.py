"""Refuse a bad params.yaml or stale custom data in one line, even when no stage is about to run."""

from src.config.params import Params
from src.core.cli import run
from src.core.errors import UserError
from src.data.checks import load_params
from src.data.sources import custom_folder, is_current_copy, raw_folder


def main() -> None:
    data = load_params(Params).data
    for dataset in {data.source, data.target}:
        custom, copy = custom_folder(dataset), raw_folder(dataset)
        # DVC does not look outside the repository.
        if custom and custom.exists() and copy.exists() and not is_current_copy(custom, copy):
            raise UserError(
                f"{custom}: changed since it was copied; `dvc repro --force --single-item "
                "download` copies it again"
            )


if __name__ == "__main__":
    run(main)
