"""Compare two pipelines image by image: is the difference more than chance?"""

import argparse

from src.core.cli import Parser, run


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="python -m src.compare",
        description=f"{__doc__} Uses McNemar's test, for each model on the same test images.",
    )
    parser.add_argument(
        "runs",
        nargs=2,
        metavar="RUN",
        help="the id, or its beginning, of an evaluate run in MLflow, or of a run it is based on",
    )
    return parser.parse_args()


def _compare(first: str, second: str) -> None:
    # Imported here, so that --help is fast.
    from src.evaluation.comparison import compare_predictions
    from src.tracking.evaluations import evaluations

    with evaluations(first, second) as [one, other]:
        print(f"A is {one.run_id}, B is {other.run_id}.")
        for role in ("source", "target"):
            if one.tests[role] != other.tests[role] or not one.tests[role]:
                print(f"on {role}: not comparable: the test images differ")
                continue
            print(compare_predictions("A", one.files, "B", other.files, role))


def main() -> None:
    arguments = _arguments()
    run(lambda: _compare(*arguments.runs))


if __name__ == "__main__":
    main()
