"""Write a model as an ONNX file, once it has been found equal to the model on all test images."""

import argparse
from pathlib import Path

from src.core import paths
from src.core.cli import Parser, run


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="python -m src.export",
        description=f"{__doc__} The file has class names, normalisation, calibration and more in "
        "it; it is written beside the model.",
    )
    parser.add_argument(
        "--model",
        type=Path,
        default=paths.BASE_MODEL,
        metavar="PATH",
        help="the weights (default: %(default)s)",
    )
    parser.add_json()
    return parser.parse_args()


def _export(weights: Path) -> dict[str, object]:
    # Imported here, so that --help is fast.
    from dataclasses import asdict

    from src.core.terminal import wrapped
    from src.inference.engines import exported, warn_unless_evaluated
    from src.inference.exporting import export, latency

    to = exported(weights)
    made = export(weights, to)
    warn_unless_evaluated(made.engine.usage, weights)
    taken = {count: latency(made.engine, made.images[:count]) for count in (1, 64)}
    size = to.stat().st_size
    times = ", ".join(f"{count}: {1000 * each:.2f} ms" for count, each in taken.items())
    print(wrapped(f"{to}: {size:,} bytes; {made.parity}; images at a time and time taken: {times}"))
    return {
        "file": str(to),
        "bytes": size,
        "parity": asdict(made.parity),
        "seconds": {str(count): each for count, each in taken.items()},
    }


def main() -> None:
    arguments = _arguments()
    run(lambda: _export(arguments.model), arguments.json)


if __name__ == "__main__":
    main()
