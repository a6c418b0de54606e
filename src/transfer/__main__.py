"""Compare methods to transfer the base model to the target, by labels per class."""

import argparse

from src.core.cli import Parser, count, labels, run


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="python -m src.transfer",
        description=f"{__doc__} Zero-shot, the strategies of finetune, rehearsal of the source, "
        "and from scratch; the other values are those of params.yaml. Each seed trains a base "
        "model of its own. Tables and a picture are then in reports/transfer. Test images are read "
        "for the report only: choose by the validation images.",
    )
    parser.add_argument("--seeds", type=count, default=5, metavar="N", help="(default: 5)")
    parser.add_argument(
        "--labels",
        type=labels,
        default=[1, 5, 10, 50, "all"],
        metavar="N,N,...",
        help="labelled images per class (default: 1,5,10,50,all)",
    )
    return parser.parse_args()


def _transfer(arguments: argparse.Namespace) -> None:
    # Imported here, so that --help is fast.
    from src.config.params import Params
    from src.core import paths
    from src.core.console import Console
    from src.core.finding import publish
    from src.core.runtime import describe, set_up
    from src.data.checks import load_params
    from src.data.imageset import load_images
    from src.data.splits import Splits
    from src.tracking.nested import track_parent
    from src.tracking.repro import bring_up_to_date
    from src.tracking.store import TRANSFER
    from src.transfer.methods import Study
    from src.transfer.summary import summary

    params = load_params(Params)
    logged = {**params.model_dump(), "seeds": arguments.seeds, "labels": arguments.labels}
    folders = (paths.SOURCE_TENSORS, paths.TARGET_TENSORS)
    names = (paths.TRAIN, paths.VAL, paths.TEST)
    bring_up_to_date("preprocess", [folder / name for folder in folders for name in names])
    with track_parent(TRANSFER, "transfer", logged, "preprocess") as parent:
        device = set_up(params.runtime.device, params.runtime.threads)
        parent.tags(describe(device))
        source, target = (
            Splits(*(load_images(folder / name).to(device) for name in names)) for folder in folders
        )
        study = Study(params, source, target, arguments.labels)
        outcomes = []
        for seed in range(params.seed, params.seed + arguments.seeds):
            with (
                parent.child(f"seed-{seed}") as tracked,
                Console(f"base {seed}", params.train.epochs, len(source.train)) as console,
            ):
                for outcome in study.run_seed(seed, [console, tracked]):
                    print(outcome)
                    tracked.metrics(outcome.metrics())
                    outcomes.append(outcome)
            # After each seed, so that an interruption loses little.
            finding = summary(outcomes)
            publish([finding], paths.TRANSFER, parent)
        print(finding.documents["table.md"])


def main() -> None:
    arguments = _arguments()
    run(lambda: _transfer(arguments))


if __name__ == "__main__":
    main()
