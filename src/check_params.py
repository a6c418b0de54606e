"""Refuse a bad params.yaml in one line, also when no stage is about to read it."""

from src.command import run
from src.config.params import load
from src.config.whole import Params

if __name__ == "__main__":
    run(lambda: load(Params))
