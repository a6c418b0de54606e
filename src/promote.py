"""Write the winner of a study into params.yaml, where only its values change."""

import argparse
import difflib
import sys

from src.core.cli import Parser, name, run


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="python -m src.promote",
        description=f"{__doc__} The winner has the lowest mean validation loss over the seeds of "
        "the confirmation. `dvc repro` then trains it.",
    )
    parser.add_argument(
        "--study", type=name, default="sweep", metavar="NAME", help="its name (default: sweep)"
    )
    parser.add_argument("--storage", metavar="URL", help="where it is kept, as for src.tune")
    parser.add_argument(
        "--dry-run", action="store_true", help="show the difference, and change nothing"
    )
    return parser.parse_args()


def _promote(arguments: argparse.Namespace) -> None:
    # Imported only now: --help need not wait for them.
    from filelock import FileLock

    from src.config.params import Params
    from src.config.parsing import read
    from src.config.values import rewrite
    from src.core import paths
    from src.core.files import written_whole
    from src.data.checks import load_params
    from src.tune.confirm import choose
    from src.tune.space import Space
    from src.tune.storage import check_unchanged, load_study, open_storage
    from src.tune.study import Study

    params, space = load_params(Params), Space(read())
    lock = FileLock(paths.root() / paths.STUDIES_LOCK)
    storage = open_storage(arguments.storage, paths.root() / paths.STUDIES, lock)
    begun = load_study(storage, arguments.study)
    check_unchanged(begun, {"params": space.constant()})
    chosen, why = choose(Study(begun, storage, space, params.tune, lock), params)
    text = paths.PARAMS.read_bytes().decode()  # with the line ends that it has
    promoted = rewrite(text, chosen.values)
    difference = difflib.unified_diff(
        text.splitlines(True),
        promoted.splitlines(True),
        "params.yaml",
        f"params.yaml with {chosen.name}",
        n=0,
    )
    sys.stdout.writelines(difference)
    print(why)
    if not arguments.dry_run:
        with written_whole(paths.PARAMS) as partial:
            partial.write_bytes(promoted.encode())
            assert load_params(Params, partial) == chosen.params


def main() -> None:
    arguments = _arguments()
    run(lambda: _promote(arguments))


if __name__ == "__main__":
    main()
