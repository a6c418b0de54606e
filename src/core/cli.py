"""Arguments of the commands, and what every stage and command does around its work."""

import argparse
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from types import FrameType
from typing import Any, Literal, NoReturn

from src.core.errors import UserError, debugging, is_refusal, trace
from src.core.ports import answers
from src.core.terminal import coloured, show_any_character

# Of one thread each, unless told otherwise: with more than 8, they would wait for the command.
WORKERS = min(8, len(os.sched_getaffinity(0)))
ONE_THREAD_EACH = "with one thread each", "one per CPU, at most 8"  # for Parser.add_workers


@dataclass(frozen=True)
class Workers:
    """How many trainings run at the same time, and where."""

    count: int | None  # None: as many as the cluster has room for
    cluster: str | None = None  # None: this machine; else auto, local or host:port
    gpus: float = 0.0  # of the cluster, for each worker

    @classmethod
    def of(cls, arguments: argparse.Namespace, default: int) -> "Workers":
        """From the arguments of `Parser.add_workers`; default: their number on this machine.

        Raises UserError if there is no Ray for a cluster, no cluster for the GPUs, or nothing at
        its address.
        """
        if arguments.cluster is None:
            if arguments.gpus_per_worker:
                raise UserError("--gpus-per-worker: is for --cluster; here runtime.device decides")
            return cls(arguments.workers or default)
        if find_spec("ray") is None:
            raise UserError("--cluster: Ray is not installed; `make cluster` installs it")
        if ":" in arguments.cluster and not answers(arguments.cluster):
            raise UserError(f"--cluster {arguments.cluster}: no Ray cluster answers there")
        return cls(arguments.workers, arguments.cluster, arguments.gpus_per_worker)

    @property
    def alone(self) -> bool:
        """Whether a training has the machine to itself, so that its time means something."""
        return self.count == 1 and self.cluster is None


class _Debug(argparse.Action):
    """Sets the environment's variable, so that worker processes and stages see it, too."""

    def __call__(self, *_: object) -> None:
        os.environ["IDXFLOW_DEBUG"] = "1"


class Parser(argparse.ArgumentParser):
    """Says in one line what is wrong with the arguments; has --debug."""

    def __init__(self, prog: str, description: str) -> None:
        show_any_character()
        super().__init__(prog=prog, description=description)
        debug = "show the traceback of a refusal, too (also IDXFLOW_DEBUG=1)"
        self.add_argument("--debug", action=_Debug, nargs=0, help=debug)

    def add_workers(self, notes: str, default: str) -> None:
        """--workers and --cluster, for `Workers.of`. notes, default: for the help, in words."""
        self.add_argument(
            "--workers",
            type=count,
            metavar="N",
            help=f"training processes at a time, {notes} (default: {default}; on a cluster, "
            "as many as it has room for)",
        )
        self.add_argument(
            "--cluster",
            type=cluster,
            metavar="ADDRESS",
            help="train on the Ray cluster whose head is at ADDRESS (host:port); auto: the one "
            "that this machine belongs to; local: one on this machine, for this call only",
        )
        self.add_argument(
            "--gpus-per-worker",
            type=gpus,
            default=0.0,
            metavar="N",
            help="GPUs of the cluster for each worker: 1, or a share such as 0.25 for four workers "
            "on one GPU (default: 0, on CPUs)",
        )

    def add_json(self) -> None:
        """--json, for `run`."""
        self.add_argument(
            "--json",
            action="store_true",
            help="print the results as one JSON document on stdout, and all else on stderr",
        )

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{_error()} {message.removeprefix('argument ')} (see --help)\n")


def count(text: str) -> int:
    """A whole number of at least 1."""
    if re.fullmatch(r"0*[1-9][0-9]{0,8}", text):
        return int(text)
    raise argparse.ArgumentTypeError(f"should be a whole number of at least 1, not {text!r}")


def cluster(text: str) -> str:
    if text in ("auto", "local"):
        return text
    if re.fullmatch(r"[A-Za-z0-9._-]+:[^:]*", text):
        port(text.rpartition(":")[2])
        return text
    raise argparse.ArgumentTypeError(f"should be auto, local or host:port, not {text!r}")


def gpus(text: str) -> float:
    """A GPU, a share of one, or none: a training uses one at most."""
    if re.fullmatch(r"0?\.[0-9]{1,4}|[01]", text):
        return float(text)
    raise argparse.ArgumentTypeError(
        f"should be 0, 1, or a share of a GPU such as 0.25, not {text!r}"
    )


def port(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,5}", text) and 0 < int(text) < 2**16:
        return int(text)
    raise argparse.ArgumentTypeError(f"should be a port from 1 to 65535, not {text!r}")


def seed(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,10}", text) and int(text) < 2**32:
        return int(text)
    raise argparse.ArgumentTypeError(f"should be a whole number below 2^32, not {text!r}")


def seconds(text: str) -> float:
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return float(text)
    raise argparse.ArgumentTypeError(f"should be a number of seconds, not {text!r}")


def name(text: str) -> str:
    """A name that is also a file's name; a dot would begin its suffix."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", text):
        return text
    raise argparse.ArgumentTypeError(
        f"should be letters, digits, dashes and underscores, not {text!r}"
    )


def one_of(known: Sequence[str]) -> Callable[[str], str]:
    """The type of an argument that is one of these words."""

    def parse(text: str) -> str:
        if text in known:
            return text
        raise argparse.ArgumentTypeError(f"should be one of {', '.join(known)}, not {text!r}")

    return parse


def labels(text: str) -> list[int | Literal["all"]]:
    """Numbers of labels per class, separated by commas."""
    if not re.fullmatch(r"(all|[1-9][0-9]{0,8})(,(all|[1-9][0-9]{0,8}))*", text):
        raise argparse.ArgumentTypeError(
            f"should be whole numbers of at least 1, or all, separated by commas, not {text!r}"
        )
    found: list[int | Literal["all"]] = [
        "all" if part == "all" else int(part) for part in text.split(",")
    ]
    if len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"should differ from each other, not {text}")
    return found


def run(main: Callable[[], object], as_json: bool = False) -> None:
    """Call `main`; bad input, a full or protected disk, or an interruption ends in one line.

    Any other error is a bug, and keeps its traceback. as_json: what is printed goes to stderr, and
    what `main` returns to stdout.
    """
    show_any_character()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        with redirect_stdout(sys.stderr if as_json else sys.stdout):
            document = main()
        if as_json:
            print(as_document(document))
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read it has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
    except (UserError, OSError) as error:
        if not is_refusal(error):
            raise
        shown = trace(error) if debugging() else ""
        sys.exit(f"{shown}{_error()} {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")


def _error() -> str:
    return coloured("error:", "red", sys.stderr)


def as_document(document: Any) -> str:
    """As JSON, which knows no NaN and no infinity: null is in their place."""
    told = json.dumps(document)
    return json.dumps(json.loads(told, parse_constant=lambda _: None), indent=2)


def _terminate(signum: int, _frame: FrameType | None) -> NoReturn:
    # Raised rather than died of, so that an open tracking run is closed on the way out.
    raise SystemExit(128 + signum)
