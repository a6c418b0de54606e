"""Make models smaller, and compare them with what they were made of."""

import argparse

from src.core.cli import ONE_THREAD_EACH, WORKERS, Parser, Workers, count, run

# The stages that make the originals.
STAGES = {"base": "train", "finetuned": "finetune"}


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="python -m src.compress",
        description=f"{__doc__} The models are those of the section compress of params.yaml: "
        "pruned networks, students that learn from a larger network, models of 8 bits. Tables, "
        "pictures and the models of the first seed are then in reports/compress. Test images are "
        "read for the report only: choose by the validation images. It can be interrupted at any "
        "time: the same command continues.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these models (default: all)")
    parser.add_argument(
        "--seeds", type=count, default=3, metavar="N", help="how many seeds (default: 3)"
    )
    parser.add_workers(*ONE_THREAD_EACH)
    parser.add_json()
    return parser.parse_args()


def _compress(arguments: argparse.Namespace) -> dict[str, object]:
    # Imported here, so that --help is fast.
    import torch

    from src.compress.findings import summary
    from src.compress.measure import measure
    from src.compress.plan import Plan
    from src.compress.sensitivity import sensitivity
    from src.config.params import Params
    from src.core import paths
    from src.core.console import tables
    from src.core.finding import Finding, publish
    from src.core.tensorfile import read_bytes
    from src.data.checks import load_params
    from src.data.imageset import load_images
    from src.execution.trainings import Description, trainings
    from src.models.checkpoint import load_model
    from src.pages.studies import write_study
    from src.tracking.repro import bring_up_to_date
    from src.tracking.store import COMPRESS
    from src.training.smaller import ORIGINALS

    workers = Workers.of(arguments, WORKERS)
    params = load_params(Params)
    plan = Plan.of(params, arguments.names, range(params.seed, params.seed + arguments.seeds))
    bring_up_to_date("preprocess", [*paths.IMAGE_SETS.values()])
    original = ORIGINALS[plan.original]
    bring_up_to_date(STAGES[plan.original], [original])
    logged = {**plan.params.model_dump(), "names": plan.names, "seeds": [*plan.seeds]}
    description = Description(COMPRESS, "compress", logged, paths.IMAGE_SETS, "train")
    with trainings(description, params.runtime.one_thread(), workers) as study:
        images = {name: load_images(path) for name, path in paths.IMAGE_SETS.items()}
        made = plan.make(read_bytes(original), images, study)
        found = summary(measure(plan, made, images, params.evaluate))
        lost = sensitivity(
            load_model(original, torch.device("cpu")), plan.params.lessons.of(images)
        )
        files = {
            f"{key.name}.safetensors": made[key].content
            for key in made
            if key.name in plan.names and key.seed == params.seed
        }
        print(tables(found.documents["table.md"]))
        publish([found, lost, Finding(files=files)], paths.COMPRESS, study.record)
        write_study(COMPRESS, study.record)
        study.check()
    return {
        "models": found.tables["table.csv"].to_dict("records"),
        "written": [str(paths.COMPRESS)],
    }


def main() -> None:
    arguments = _arguments()
    run(lambda: _compress(arguments), arguments.json)


if __name__ == "__main__":
    main()
