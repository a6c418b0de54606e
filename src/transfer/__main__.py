"""Compare methods to transfer the base model to the target, by labels per class."""

import argparse

from src.core.cli import ONE_THREAD_EACH, WORKERS, Parser, Workers, count, labels, run


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="python -m src.transfer",
        description=f"{__doc__} Zero-shot, the strategies of finetune, rehearsal of the source, "
        "and from scratch; the other values are those of params.yaml. Each seed trains a base "
        "model of its own. Tables and a picture are then in reports/transfer. Test images are read "
        "for the report only: choose by the validation images. It can be interrupted at any time: "
        "the same command continues.",
    )
    parser.add_argument(
        "--seeds", type=count, default=5, metavar="N", help="how many seeds (default: 5)"
    )
    parser.add_argument(
        "--labels",
        type=labels,
        default=[1, 5, 10, 50, "all"],
        metavar="N,N,...",
        help="labelled images per class (default: 1,5,10,50,all)",
    )
    parser.add_workers(*ONE_THREAD_EACH)
    parser.add_json()
    return parser.parse_args()


def _transfer(arguments: argparse.Namespace) -> dict[str, object]:
    # Imported here, so that --help is fast.
    from src.config.params import Params
    from src.core import paths
    from src.core.console import tables
    from src.core.finding import publish
    from src.data.checks import load_params
    from src.data.sources import facts_of
    from src.execution.trainings import Description, trainings
    from src.pages.studies import write_study
    from src.tracking.repro import bring_up_to_date
    from src.tracking.store import TRANSFER
    from src.transfer.methods import Plan
    from src.transfer.summary import summary

    workers = Workers.of(arguments, WORKERS)
    params = load_params(Params)
    bring_up_to_date("preprocess", [*paths.IMAGE_SETS.values()])
    source, target = facts_of(params.data.source), facts_of(params.data.target)
    seeds = range(params.seed, params.seed + arguments.seeds)
    plan = Plan(params, seeds, arguments.labels, source.classes == target.classes)
    sections = params.model_dump(include={"runtime", "data", "model", "train", "finetune"})
    logged = {**sections, "seeds": list(seeds), "labels": arguments.labels}
    description = Description(TRANSFER, "transfer", logged, paths.IMAGE_SETS, "train")
    with trainings(description, params.runtime.one_thread(), workers) as study:
        results = study.attempt(plan.from_scratch())
        results |= study.attempt(plan.adaptations(results))
        if outcomes := plan.outcomes(results):
            finding = summary(outcomes)
            print(tables(finding.documents["table.md"]))
            publish([finding], paths.TRANSFER, study.record)
            write_study(TRANSFER, study.record)
        study.check()
    return {
        "methods": finding.tables["table.csv"].to_dict("records"),
        "written": [str(paths.TRANSFER)],
    }


def main() -> None:
    arguments = _arguments()
    run(lambda: _transfer(arguments), arguments.json)


if __name__ == "__main__":
    main()
