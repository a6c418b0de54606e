"""Cross-validate params.yaml on the source's training and validation images."""

import argparse

from src.core.cli import ONE_THREAD_EACH, WORKERS, Parser, Workers, count, run


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="python -m src.crossval",
        description=f"{__doc__} Test images are not read. Tables, and a picture of possible label "
        "issues, are then in reports/crossval; the folds are in MLflow's experiment crossval. It "
        "can be interrupted at any time: the same command continues.",
    )
    parser.add_argument(
        "--folds", type=count, default=5, metavar="N", help="at least 2 (default: 5)"
    )
    parser.add_workers(*ONE_THREAD_EACH)
    parser.add_json()
    arguments = parser.parse_args()
    if arguments.folds < 2:
        parser.error("--folds: should be at least 2, not 1")
    return arguments


def _crossval(arguments: argparse.Namespace) -> dict[str, object]:
    # Imported here, so that --help is fast.
    from src.config.params import Params
    from src.core import paths
    from src.core.finding import publish
    from src.crossval.scores import HeldOut, scores
    from src.data.checks import load_params
    from src.data.imageset import join, load_images
    from src.execution.trainings import Description, trainings
    from src.pages.studies import write_study
    from src.tracking.repro import bring_up_to_date
    from src.tracking.store import CROSSVAL
    from src.training.folds import check_epochs_are_fixed, draw_folds
    from src.training.jobs import HELD_OUT, Fold

    folds, workers = arguments.folds, Workers.of(arguments, WORKERS)
    params = load_params(Params)
    check_epochs_are_fixed(params.train)
    images = {name: paths.IMAGE_SETS[name] for name in ("source.train", "source.val")}
    bring_up_to_date("preprocess", [*images.values()])
    jobs = {
        f"fold-{number + 1}": Fold(
            train=params.train, seed=params.seed, model=params.model, number=number, folds=folds
        )
        for number in range(folds)
    }
    sections = params.model_dump(include={"seed", "runtime", "data", "model", "train"})
    description = Description(CROSSVAL, "crossval", {**sections, "folds": folds}, images, "train")
    train_set, val_set = (load_images(path) for path in images.values())
    data = join(train_set, val_set)
    drawn = draw_folds(data, folds, params.seed)  # refuses too many before there is a run
    with trainings(description, params.runtime.one_thread(), workers) as study:
        results = study.run(jobs).values()
        done = [
            HeldOut(places, result.predictions[HELD_OUT].logits)
            for places, result in zip(drawn, results, strict=True)
        ]
        finding = scores(done, data, len(train_set), params.evaluate.mistakes)
        publish([finding], paths.CROSSVAL, study.record)
        write_study(CROSSVAL, study.record)
    return {
        **finding.metrics,
        "folds": finding.tables["folds.csv"].to_dict("records"),
        "written": [str(paths.CROSSVAL)],
    }


def main() -> None:
    arguments = _arguments()
    run(lambda: _crossval(arguments), arguments.json)


if __name__ == "__main__":
    main()
