"""Cross-validate params.yaml on the source's training and validation images."""

import argparse

from src.core.cli import Parser, count, run


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="python -m src.crossval",
        description=f"{__doc__} Test images are not read. Tables, and a picture of possible label "
        "issues, are then in reports/crossval; the folds are in MLflow's experiment crossval.",
    )
    parser.add_argument(
        "--folds", type=count, default=5, metavar="N", help="at least 2 (default: 5)"
    )
    arguments = parser.parse_args()
    if arguments.folds < 2:
        parser.error("--folds: should be at least 2, not 1")
    return arguments


def _crossval(folds: int) -> None:
    # Imported here, so that --help is fast.
    from src.config.params import Params
    from src.core import paths
    from src.core.console import Console
    from src.core.finding import publish
    from src.core.runtime import describe, set_up
    from src.crossval.folds import check_epochs_are_fixed, draw_folds, train_without
    from src.crossval.scores import scores
    from src.data.checks import load_params
    from src.data.imageset import join, load_images
    from src.tracking.nested import track_parent
    from src.tracking.repro import bring_up_to_date
    from src.tracking.store import CROSSVAL

    params = load_params(Params)
    check_epochs_are_fixed(params.train)
    train_path, val_path = (paths.SOURCE_TENSORS / name for name in (paths.TRAIN, paths.VAL))
    bring_up_to_date("preprocess", [train_path, val_path])
    train_set = load_images(train_path)
    data = join(train_set, load_images(val_path))
    drawn = draw_folds(data, folds, params.seed)
    logged = {**params.model_dump(), "folds": folds}
    with track_parent(CROSSVAL, "crossval", logged, "train") as parent:
        device = set_up(params.runtime.device, params.runtime.threads)
        parent.tags(describe(device))
        data, done = data.to(device), []
        for number, held_out in enumerate(drawn, start=1):
            images = len(data) - len(held_out)
            with (
                parent.child(f"fold-{number}") as tracked,
                Console(f"fold {number}", params.train.epochs, images) as console,
            ):
                done.append(train_without(params, data, held_out, [console, tracked]))
        finding = scores(done, data, len(train_set), params.evaluate.mistakes)
        publish([finding], paths.CROSSVAL, parent)


def main() -> None:
    arguments = _arguments()
    run(lambda: _crossval(arguments.folds))


if __name__ == "__main__":
    main()
