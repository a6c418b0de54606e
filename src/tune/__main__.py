"""Sweep the space in params.yaml for parameters with a lower validation loss."""

import argparse
import os
from typing import Any

from src.core.cli import Parser, count, name, run, seconds, seed


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="python -m src.tune",
        description=f"{__doc__} Interrupt it when you like: the same command goes on. At the end "
        "the best trials are trained again with several seeds, and python -m src.promote takes the "
        "winner over.",
    )
    parser.add_argument(
        "--trials",
        type=count,
        default=50,
        metavar="N",
        help="finished trials that the study shall have in all, over every call (default: 50)",
    )
    parser.add_argument(
        "--workers",
        type=count,
        default=min(8, len(os.sched_getaffinity(0))),
        metavar="N",
        help="processes that train, one thread each (default: one per CPU, at most 8)",
    )
    parser.add_argument(
        "--study", type=name, default="sweep", metavar="NAME", help="its name (default: sweep)"
    )
    parser.add_argument(
        "--storage",
        metavar="URL",
        help="a database that machines share, such as postgresql://user@host/name, "
        "instead of optuna.log in the repository",
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=float("inf"),
        metavar="SECONDS",
        help="begin no trial later than this; those that run are finished, and the winner of a "
        "finished study is confirmed",
    )
    parser.add_argument(
        "--seed",
        type=seed,
        metavar="N",
        help="draws the values of a new study (default: the seed of params.yaml)",
    )
    return parser.parse_args()


def _tune(arguments: argparse.Namespace) -> None:
    # Imported only now: --help need not wait for them.
    from filelock import FileLock

    from src.config.params import Params
    from src.config.parsing import read
    from src.core import paths
    from src.data.checks import load_params
    from src.tracking.provenance import running
    from src.tracking.repro import bring_up_to_date
    from src.tracking.sweeps import track_sweep
    from src.tune.session import run_session
    from src.tune.space import Space
    from src.tune.storage import begin_study, check_unchanged, errors_in_one_line, open_storage
    from src.tune.study import Study

    params, space = load_params(Params), Space(read())
    splits = [paths.SOURCE_TENSORS / split for split in (paths.TRAIN, paths.VAL)]
    bring_up_to_date("preprocess", splits)

    def identity() -> dict[str, dict[str, Any]]:
        train = running("train")
        return {"params": space.constant(), "files": {**train.data(), **train.code()}}

    with errors_in_one_line(arguments.storage):
        lock = FileLock(paths.root() / paths.STUDIES_LOCK)
        storage = open_storage(arguments.storage, paths.root() / paths.STUDIES, lock)
        begun = begin_study(storage, arguments.study, arguments.seed, identity(), lock)
        study = Study(begun, storage, space, params.tune, lock)
        tags = {"sampler": params.tune.sampler, "pruner": params.tune.pruner}
        with track_sweep(study.name, study.id, space.constant(), tags) as record:
            run_session(
                study,
                params,
                record,
                paths.SWEEPS / f"{study.name}.csv",
                lambda: check_unchanged(begun, identity()),
                wanted=arguments.trials,
                workers=arguments.workers,
                timeout=arguments.timeout,
            )


def main() -> None:
    arguments = _arguments()
    run(lambda: _tune(arguments))


if __name__ == "__main__":
    main()
