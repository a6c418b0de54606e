"""Compare finished pipelines: parameters, metrics, and image by image what is more than chance."""

import argparse
from collections.abc import Sequence
from string import ascii_uppercase

from src.core.cli import Parser, run


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="python -m src.compare",
        description=f"{__doc__} Uses McNemar's test; for more than two, with Holm's correction.",
    )
    parser.add_argument(
        "names",
        nargs="+",
        metavar="PIPELINE",
        help="a revision in git, a DVC experiment, `workspace` (the present results), a params "
        "file, or a run in MLflow by its name, or its id or the beginning of that: an evaluate "
        "run, or one that it is based on",
    )
    parser.add_json()
    arguments = parser.parse_args()
    if not 2 <= (given := len(arguments.names)) <= len(ascii_uppercase):
        parser.error(f"PIPELINE: should be 2 to {len(ascii_uppercase)}, not {given}")
    return arguments


def _compare(names: Sequence[str]) -> dict[str, object]:
    # Imported here, so that --help is fast.
    from src.compare.differences import Differences
    from src.compare.words import in_words
    from src.data.imageset import load_images
    from src.evaluation.predictions import fingerprint
    from src.tracking.evaluations import evaluations

    with evaluations(names, lambda path: fingerprint(load_images(path))) as found:
        differences = Differences(dict(zip(ascii_uppercase, found, strict=False)))
    print(in_words(differences))
    return differences.as_tree()


def main() -> None:
    arguments = _arguments()
    run(lambda: _compare(arguments.names), arguments.json)


if __name__ == "__main__":
    main()
