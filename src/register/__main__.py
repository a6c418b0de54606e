"""Register a model in MLflow; it becomes the one in use if it passes the gate, which says why."""

import argparse
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from src.core import paths
from src.core.cli import Parser, as_document, run
from src.core.errors import UserError
from src.core.terminal import is_live

if TYPE_CHECKING:
    from src.register.records import Outcome

SERVE = "mlflow models serve -m models:/idxflow@champion --env-manager local --port 5001"


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="python -m src.register",
        description=f"{__doc__} A sound model becomes a version of `idxflow` with the alias "
        "`challenger`, and `champion` once it is better than that by more than chance.",
    )
    parser.add_argument(
        "--model",
        type=Path,
        default=paths.BASE_MODEL,
        metavar="PATH",
        help="weights that `dvc repro` has made (default: %(default)s)",
    )
    parser.add_argument(
        "--force",
        type=_reason,
        metavar="WHY",
        help="make it champion whatever the gate finds, unless its export is broken; who and why "
        "are kept",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="tell the verdict; no version and no alias changes"
    )
    parser.add_json()
    return parser.parse_args()


def _reason(text: str) -> str:
    if text.strip():
        return text.strip()
    raise argparse.ArgumentTypeError("should say why")


def _register(arguments: argparse.Namespace) -> None:
    if not arguments.model.is_file():  # at once: what follows takes seconds to import
        raise UserError(f"{arguments.model}: not a file; `dvc repro` makes {paths.BASE_MODEL}")
    # Imported here, so that --help is fast.
    from src.core.terminal import wrapped
    from src.register.registration import register

    if is_live(sys.stderr):
        print(f"Checking {arguments.model}.", file=sys.stderr)
    with redirect_stdout(sys.stderr if arguments.json else sys.stdout):
        outcome = register(arguments.model, arguments.force, arguments.dry_run)
    if arguments.json:
        print(as_document(outcome.as_tree()))
    if outcome.refused:
        raise UserError(f"{arguments.model}: {outcome.verdict}")
    if not arguments.json:
        print(wrapped(_in_words(arguments, outcome), indent="  "))


def _in_words(arguments: argparse.Namespace, outcome: "Outcome") -> str:
    would = "dry run, nothing changed; " if arguments.dry_run else ""
    lines = [f"{arguments.model}: {would}{outcome.verdict}"]
    lines += [f"  {check.told}" for check in outcome.checks]
    return "\n".join(lines if arguments.dry_run else [*lines, f"serve it: {SERVE}"])


def main() -> None:
    arguments = _arguments()
    run(lambda: _register(arguments))


if __name__ == "__main__":
    main()
