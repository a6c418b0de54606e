"""Search the space in params.yaml for parameters with a lower validation loss."""

import argparse
from typing import Any

from src.core.cli import ONE_THREAD_EACH, WORKERS, Parser, Workers, count, run, seconds, seed
from src.tune.options import add_study_options


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="python -m src.tune",
        description=f"{__doc__} It can be interrupted at any time: the same command continues. At "
        "the end, the best trials are trained again with several seeds, and python -m src.promote "
        "writes the winner into params.yaml.",
    )
    parser.add_argument(
        "--trials",
        type=count,
        default=50,
        metavar="N",
        help="finished trials of the study in total, over all calls (default: 50)",
    )
    parser.add_workers(*ONE_THREAD_EACH)
    add_study_options(parser)
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=float("inf"),
        metavar="SECONDS",
        help="start no trial after this time; running trials still finish, and if the study is "
        "finished, its winner is confirmed (default: no limit)",
    )
    parser.add_argument(
        "--seed",
        type=seed,
        metavar="N",
        help="random seed of a new study's sampler (default: seed in params.yaml)",
    )
    parser.add_json()
    return parser.parse_args()


def _tune(arguments: argparse.Namespace) -> dict[str, object]:
    # Imported here, so that --help is fast.
    from src.config.params import Params
    from src.config.parsing import read
    from src.core import paths
    from src.data.checks import load_params
    from src.tracking.nested import track_study
    from src.tracking.provenance import running
    from src.tracking.repro import bring_up_to_date
    from src.tracking.store import TUNE
    from src.tune.session import Session
    from src.tune.space import Space
    from src.tune.storage import check_unchanged, study_opened

    workers = Workers.of(arguments, WORKERS)
    params, space = load_params(Params), Space(read())
    # Test images are never loaded in a sweep.
    images = {name: paths.IMAGE_SETS[name] for name in ("source.train", "source.val")}
    bring_up_to_date("preprocess", [*images.values()])

    def identity() -> dict[str, dict[str, Any]]:
        train = running("train")
        return {"params": space.constant(), "files": {**train.data(), **train.code()}}

    with study_opened(
        arguments.study, arguments.storage, space, identity(), create=True, seed=arguments.seed
    ) as study:
        tags = {"sampler": params.tune.sampler, "pruner": params.tune.pruner}
        with track_study(TUNE, study.name, study.id, space.constant(), tags, "train") as tracker:
            return Session(
                study,
                params,
                images,
                tracker,
                csv=paths.SWEEPS / f"{study.name}.csv",
                check=lambda: check_unchanged(study.optuna, identity()),
                wanted=arguments.trials,
                workers=workers,
                timeout=arguments.timeout,
            ).run()


def main() -> None:
    arguments = _arguments()
    run(lambda: _tune(arguments), arguments.json)


if __name__ == "__main__":
    main()
