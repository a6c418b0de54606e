"""Close the MLflow runs whose process was killed, if no stage has run since."""

from src.core.cli import run
from src.tracking.store import close_abandoned_runs

if __name__ == "__main__":
    run(close_abandoned_runs)
