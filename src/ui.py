"""Open MLflow's pages on this machine, and say where in them the runs are compared."""

import os
import sys

from src.core.cli import Parser, port, run
from src.core.ports import check_is_free


def _ui(port: int) -> None:
    # Imported here, so that --help is fast.
    from src.tracking.store import pages

    check_is_free(port)
    for name, page in pages().items():
        print(f"{name:>9}: http://127.0.0.1:{port}/{page}")
    print("Press Ctrl-C to stop.", flush=True)
    # Without what runs jobs for generative AI, which would be ten more processes.
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    os.environ.setdefault("PYTHONWARNINGS", "ignore")  # its own, about its dependencies
    options = ("--host", "127.0.0.1", "--port", str(port), "--workers", "1")
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "ui", *options])  # noqa: S606


def main() -> None:
    parser = Parser(prog="python -m src.ui", description=__doc__ or "")
    parser.add_argument("port", type=port, nargs="?", default=5000, help="(default: 5000)")
    arguments = parser.parse_args()
    run(lambda: _ui(arguments.port))


if __name__ == "__main__":
    main()
