"""Open a page on this machine on which one draws, and sees what a model makes of it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from src.core import paths
from src.core.cli import Parser, port, run

if TYPE_CHECKING:
    from src.inference.engines import Engine


def _arguments() -> argparse.Namespace:
    parser = Parser(prog="python -m src.demo", description=__doc__ or "")
    parser.add_argument("port", type=port, nargs="?", default=8000, help="(default: 8000)")
    parser.add_argument(
        "--model",
        type=Path,
        default=paths.BASE_MODEL,
        metavar="PATH",
        help="weights or an exported file (default: %(default)s); weights are exported first, "
        "where that is still to be done",
    )
    return parser.parse_args()


def _demo(port: int, path: Path) -> None:
    # Imported here, so that --help is fast.
    import uvicorn

    from src.core.ports import check_is_free
    from src.demo.server import app

    check_is_free(port)
    engine = _engine(path)
    print(f"http://127.0.0.1:{port}/\nPress Ctrl-C to stop.", flush=True)
    uvicorn.run(
        app(engine, port),
        host="127.0.0.1",
        port=port,
        log_level="warning",
        server_header=False,
        limit_concurrency=16,  # each may send MOST bytes
        timeout_graceful_shutdown=1,  # what is half sent keeps nobody at Ctrl-C waiting
    )


def _engine(path: Path) -> "Engine":
    from src.inference.engines import Onnx, exported, open_export, open_model

    engine = open_model(path)
    if isinstance(engine, Onnx):
        return engine
    # Imported here: torch takes longer than all else, and is not needed another time.
    from src.inference.exporting import export

    print(f"Exporting {path} to {exported(path)}.", flush=True)
    export(path, exported(path))
    return open_export(exported(path))


def main() -> None:
    arguments = _arguments()
    run(lambda: _demo(arguments.port, arguments.model))


if __name__ == "__main__":
    main()
