"""Show what made a file, a metric or a run, and what came of it; check every hash on the way."""

import argparse
import textwrap
from typing import TYPE_CHECKING

from src.core.cli import Parser, run

if TYPE_CHECKING:
    from src.tracking.origins import Lineage, Step

SHOWN = 12  # characters of a hash or an id


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="python -m src.lineage",
        description=f"{__doc__} Fails if one differs, or if a file is missing.",
    )
    parser.add_argument(
        "thing",
        metavar="FILE|METRIC|PARAMETER|RUN",
        help="models/base.safetensors, reports/metrics.json:finetuned.target.accuracy, data/raw, "
        "train.epochs, or the beginning of a run's id in MLflow",
    )
    parser.add_json()
    return parser.parse_args()


def _lineage(thing: str, as_json: bool) -> None:
    # Imported here, so that --help is fast.
    import json

    from src.core.errors import UserError
    from src.tracking.origins import trace

    lineage = trace(thing)
    faults = lineage.faults()
    print(json.dumps(_as_tree(lineage), indent=2) if as_json else _in_words(thing, lineage))
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise UserError(f"{thing}: not as it was: {faults[0]}{more}")


def _as_tree(lineage: "Lineage") -> dict[str, object]:
    from dataclasses import asdict

    return {
        "made_by": [asdict(step) for step in lineage.made_by],
        "used_by": [asdict(step) for step in lineage.used_by],
        "faults": lineage.faults(),
    }


def _in_words(thing: str, lineage: "Lineage") -> str:
    lines = []
    for heading, steps in (("was made by", lineage.made_by), ("was used by", lineage.used_by)):
        if steps:
            lines += [f"{thing} {heading}:", *(line for step in steps for line in _step(step))]
    contents = [
        content
        for step in (*lineage.made_by, *lineage.used_by)
        for content in (*step.code, *step.inputs, *step.outputs)
    ]
    faults = len(lineage.faults())
    told = f"{faults} fault{'' if faults == 1 else 's'}"
    lines.append(f"{len(set(contents))} hashes computed again, {told}")
    return "\n".join(lines)


def _step(step: "Step") -> list[str]:
    made = f"run {step.run[:SHOWN]}" if step.run else "no run in MLflow"
    code = f"commit {step.commit[:SHOWN]}" if step.commit else "commit unknown"
    if step.dirty:
        code += ", with uncommitted changes"
    lines = [f"  {step.name}: {step.command}", f"    {made}, {code}"]
    if step.parameters:
        values = ", ".join(f"{key}={value}" for key, value in step.parameters.items())
        lines += textwrap.wrap(
            f"with {values}", 100, initial_indent=4 * " ", subsequent_indent=9 * " "
        )
    for kind, contents in (("code", step.code), ("in", step.inputs), ("out", step.outputs)):
        lines += [
            f"    {kind:>4} {content.md5[:SHOWN]} {content.path}: {content.state}"
            for content in contents
        ]
    return lines


def main() -> None:
    arguments = _arguments()
    run(lambda: _lineage(arguments.thing, arguments.json))


if __name__ == "__main__":
    main()
