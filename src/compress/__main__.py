"""Make models smaller, and compare them with what they were made from."""

import argparse

from src.core.cli import ONE_THREAD_EACH, WORKERS, Parser, Workers, count, run


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="python -m src.compress",
        description=f"{__doc__} The models are those of the section compress of params.yaml: "
        "pruned networks, students that learn from a larger network, 8-bit models. Tables, "
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

    workers = Workers.of(arguments, WORKERS)
    params = load_params(Params)
    plan = Plan.of(params, arguments.names, range(params.seed, params.seed + arguments.seeds))
    original = plan.params.original
    bring_up_to_date("preprocess", [*paths.IMAGE_SETS.values()])
    bring_up_to_date(original.stage, [original.path])
    logged = {**plan.params.model_dump(), "names": plan.names, "seeds": [*plan.seeds]}
    description = Description(COMPRESS, "compress", logged, paths.IMAGE_SETS, "train")
    with trainings(description, params.runtime.one_thread(), workers) as study:
        images = {name: load_images(path) for name, path in paths.IMAGE_SETS.items()}
        made = plan.make(read_bytes(original.path), images, study)
        models = measure(plan, made, images, params.evaluate)
        found = summary(models)
        checkpoint = load_model(original.path, torch.device("cpu"))
        layers = sensitivity(checkpoint, plan.params.learned_from.of(images))
        for pattern in ("*.safetensors", "*.onnx", "sensitivity.*"):  # of an earlier call
            for file in paths.COMPRESS.glob(pattern):
                file.unlink()
        files = {
            f"{model.key.name}.safetensors": made[model.key].content
            for model in models[1:]
            if model.cost
        }
        print(tables(found.documents["table.md"]))
        publish([found, layers, Finding(files=files)], paths.COMPRESS, study.record)
        write_study(COMPRESS, study.record)
        study.check()
    return {
        "models": found.tables["table.csv"].to_dict("records"),
        "said": found.text.splitlines(),
        "written": [str(paths.COMPRESS)],
    }


def main() -> None:
    arguments = _arguments()
    run(lambda: _compress(arguments), arguments.json)


if __name__ == "__main__":
    main()
