"""Cross-validate params.yaml on the source's training and validation images."""

import argparse

from src.core.cli import Parser, count, run


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="python -m src.crossval",
        description=f"{__doc__} Test images are not read. Tables, and a picture of labels that may "
        "be wrong, are then in reports/crossval; the folds are in MLflow's experiment crossval.",
    )
    parser.add_argument(
        "--folds", type=count, default=5, metavar="N", help="at least 2 (default: 5)"
    )
    arguments = parser.parse_args()
    if arguments.folds < 2:
        parser.error("--folds: should be at least 2, not 1")
    return arguments


def _crossval(folds: int) -> None:
    # Imported only now: --help need not wait for them.
    from collections.abc import Iterator
    from contextlib import contextmanager

    from src.config.params import Params
    from src.core import paths
    from src.core.console import Console
    from src.core.progress import Reporter
    from src.core.runtime import describe, set_up
    from src.crossval.folds import check_epochs_are_fixed, cross_validate, draw_folds, join
    from src.crossval.scores import write_crossval
    from src.data.checks import load_params
    from src.data.imageset import load_images
    from src.tracking.nested import track_family
    from src.tracking.repro import bring_up_to_date
    from src.tracking.store import CROSSVAL

    params = load_params(Params)
    model, train, seed = params.model, params.train, params.seed
    check_epochs_are_fixed(train)
    train_path, val_path = (paths.SOURCE_TENSORS / name for name in (paths.TRAIN, paths.VAL))
    bring_up_to_date("preprocess", [train_path, val_path])
    train_set = load_images(train_path)
    data = join(train_set, load_images(val_path))
    places = draw_folds(data.labels, folds, seed)
    with track_family(
        CROSSVAL, "crossval", {**params.model_dump(), "folds": folds}, "train"
    ) as family:

        @contextmanager
        def watch(number: int, images: int) -> Iterator[list[Reporter]]:
            console = Console(f"fold {number}", train.epochs, images)
            with family.child(f"fold-{number}") as tracked, console:
                yield [console, tracked]

        device = set_up(params.runtime.device, params.runtime.threads)
        family.parent.tags(describe(device))
        done = cross_validate(model, train, data.to(device), places, seed, watch)
        metrics, words = write_crossval(
            done, data, len(train_set), params.evaluate.mistakes, paths.CROSSVAL
        )
        print(words)
        family.parent.metrics(metrics)
        family.parent.file(paths.CROSSVAL)


def main() -> None:
    arguments = _arguments()
    run(lambda: _crossval(arguments.folds))


if __name__ == "__main__":
    main()
