"""Smaller models by the pipeline and by their command, in a clone that has run it."""

import json
from collections.abc import Iterator

import pandas as pd
import pytest

from src.config.compression import ORIGINAL
from tests.browser import Visitor
from tests.clones import Clone

MADE = ("pruned", "student-int8")


@pytest.fixture(scope="module")
def project(finished: Clone) -> Iterator[Clone]:
    """With two smaller models in its pipeline."""
    params = finished.root / "params.yaml"
    params.write_text(params.read_text().replace("make: []", f"make: [{', '.join(MADE)}]"))
    stages = finished.stages_run("dvc", "repro")
    assert sorted(stages) == ["compress@pruned", "compress@student-int8", "evaluate"]
    finished.call("git", "commit", "--quiet", "--all", "--message", "smaller models")
    yield finished
    for model in (finished.root / "models/compressed").glob("*.*"):
        if model.suffix in (".safetensors", ".onnx"):
            model.unlink()


def file(name: str) -> str:
    return f"models/compressed/{name}.safetensors"


def test_a_model_that_is_asked_for_is_in_all_tables(project: Clone) -> None:
    metrics = json.loads((project.root / "reports/metrics.json").read_text())
    assert metrics.keys() == {"base", "finetuned", *MADE}
    folder = project.root / "reports/evaluation"
    for name, column in (
        ("accuracy.csv", "model"),
        ("calibration.csv", "model"),
        ("corruptions.csv", "model"),
        ("comparisons.csv", "second"),
    ):
        assert {*MADE} < {*pd.read_csv(folder / name)[column]}, name
    pairs = pd.read_csv(folder / "comparisons.csv")
    found = pairs.loc[pairs["second"] == "pruned", ["first", "test"]]
    assert found.to_numpy().tolist() == [["base", "source"]]


def test_it_is_exported_used_registered_and_traced(project: Clone) -> None:
    printed = project.here("src.export", "--model", file("student-int8"))
    assert "equal labels" in printed
    images = "data/raw/mnist-5k/t10k-images-idx3-ubyte.gz"
    told = project.here("src.predict", "--model", file("student-int8"), images).splitlines()
    assert len(told) == 1000
    for name in MADE:
        printed = project.here("src.register.__main__", "--model", file(name), "--dry-run")
        assert f"lineage complete: compress@{name}, train, preprocess, download" in printed
    printed = project.here("src.lineage", file("pruned"))
    assert printed.index("compress@pruned: python -m pipeline.compress pruned") < printed.index(
        "train: python -m pipeline.train"
    )
    assert "finetune: python" not in printed
    assert project.stages_run("dvc", "repro") == []  # an exported file makes nothing stale


def test_its_run_leads_to_its_parent(project: Clone) -> None:
    runs = {run.data.tags["dvc.stage"]: run for run in project.runs()}
    made = runs["compress@pruned"]
    assert made.data.tags["upstream.train"] == runs["train"].info.run_id
    assert made.data.metrics["made_val_accuracy"] > 0.2
    assert runs["evaluate"].data.tags["upstream.compress@pruned"] == made.info.run_id


def test_the_study_compares_all_models_and_goes_on_where_it_was(
    project: Clone, page: Visitor
) -> None:
    command = ("python", "-m", "src.compress", "--seeds", "2", "--workers", "2", "student-int8")
    document, printed = project.document(*command)
    names = ["base", "student", "student-alone", "student-int8"]
    assert [row["model"] for row in document["models"]] == names
    base, student, alone, narrow = document["models"]
    assert student["parameters"] == alone["parameters"] == narrow["parameters"]
    assert student["multiply_adds"] < base["multiply_adds"]
    assert narrow["bytes"] < base["bytes"]
    assert [row["seeds"] for row in document["models"]] == [1, 2, 2, 2]
    folder = project.root / "reports/compress"
    assert len(pd.read_csv(folder / "outcomes.csv")) == 1 + 3 * 2
    assert {path.name for path in folder.glob("*.safetensors")} == {
        "student.safetensors",
        "student-int8.safetensors",
    }
    assert "student against the same network trained alone" in printed
    runs = project.runs("compress")
    assert sorted(str(run.info.run_name) for run in runs) == [
        "compress",
        *(f"student-alone-seed-{seed}" for seed in range(2)),
        *(f"student-seed-{seed}" for seed in range(2)),
    ]
    before = (folder / "outcomes.csv").read_text()
    printed = project.here("src.compress.__main__", *command[3:])
    assert "4 of 4 trainings are done" in printed
    assert (folder / "outcomes.csv").read_text() == before
    page.look(folder / "index.html")
    assert page.page.locator("svg").count() == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("make: []", "make: [small]"), "compress.make: should name some of pruned, student"),
        (
            ("parent: student", "parent: small"),
            "models.student-int8.parent: should be one of original",
        ),
        (("parent: student", "parent: student-int8"), "should not lead back to student-int8"),
        (("multiply_adds: 0.5", "multiply_adds: 1.5"), "multiply_adds: should be less than 1"),
        (
            ("temperature: 4.0", "temperature: 0.0"),
            "distil.temperature: should be greater",
        ),
        (("channels: [4]", "channels: [4, 4]"), "network: model.kernel_sizes: should have one"),
        (
            ("channels: [4]", "chanels: [4]"),
            "network: model.chanels: unknown key; expected",
        ),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    finished: Clone, change: tuple[str, str], said: str
) -> None:
    params = finished.root / "params.yaml"
    text = params.read_text()
    params.write_text(text.replace(f"make: [{', '.join(MADE)}]", "make: []").replace(*change))
    printed = finished.here("src.compress.__main__", "student-int8", fails=True)
    params.write_text(text)
    assert said in printed
    assert printed.count("\n") == 1


def test_an_unknown_name_is_told(finished: Clone) -> None:
    printed = finished.here("src.compress.__main__", "small", fails=True)
    assert printed.startswith("error: small: should be one of compress.models: pruned, student")
    assert ORIGINAL not in printed
