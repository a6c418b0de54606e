"""Write the winner of a study into params.yaml; nothing but its values changes there."""

import argparse
import difflib
import sys

from src.core.cli import Parser, run
from src.tune.options import add_study_options


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="python -m src.promote",
        description=f"{__doc__} The winner is the trial with the lowest mean validation loss over "
        "the seeds of the confirmation. `dvc repro` then trains it.",
    )
    add_study_options(parser)
    parser.add_argument("--dry-run", action="store_true", help="show the diff without writing it")
    parser.add_json()
    return parser.parse_args()


def _promote(arguments: argparse.Namespace) -> dict[str, object]:
    # Imported here, so that --help is fast.
    from src.config.params import Params
    from src.config.parsing import read
    from src.config.values import rewrite
    from src.core import paths
    from src.core.files import written_whole
    from src.core.terminal import wrapped
    from src.data.checks import load_params
    from src.tune.confirm import candidates, choose, load_confirmation
    from src.tune.space import Space
    from src.tune.storage import study_opened
    from src.tune.verdict import in_numbers

    params, space = load_params(Params), Space(read())
    identity = {"params": space.constant()}
    with study_opened(arguments.study, arguments.storage, space, identity) as study:
        chosen, why = choose(study, params)
        confirmation = load_confirmation(study, candidates(study, params))
    text = paths.PARAMS.read_bytes().decode()  # bytes, so that line endings stay as they are
    promoted = rewrite(text, chosen.values)
    diff = difflib.unified_diff(
        text.splitlines(True),
        promoted.splitlines(True),
        "params.yaml",
        f"params.yaml with {chosen.name}",
        n=0,
    )
    sys.stdout.writelines(diff)
    print(wrapped(why))
    if not arguments.dry_run:
        with written_whole(paths.PARAMS) as partial:
            partial.write_bytes(promoted.encode())
            if load_params(Params, partial) != chosen.params:
                raise RuntimeError(f"{paths.PARAMS}: would not hold the values of {chosen.name}")
    return {
        "study": arguments.study,
        "promoted": chosen.name,
        "values": dict(chosen.values),
        **in_numbers(confirmation),
        "written": [] if arguments.dry_run else [str(paths.PARAMS)],
    }


def main() -> None:
    arguments = _arguments()
    run(lambda: _promote(arguments), arguments.json)


if __name__ == "__main__":
    main()
