"""Smaller models by the pipeline and by their command, in a clone that has run it."""

import json
import shutil

import pandas as pd
import pytest

from src.config.compression import ORIGINAL
from tests.browser import Visitor
from tests.clones import STAGES, Clone

MADE = ("pruned", "student-int8")


@pytest.fixture(scope="module")
def project(finished: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy of the finished clone, with two smaller models of the fine-tuned one."""
    made = Clone(tmp_path_factory.mktemp("compress") / "copy")
    shutil.copytree(finished.root, made.root)
    params = made.root / "params.yaml"
    text = params.read_text().replace("make: []", f"make: [{', '.join(MADE)}]")
    params.write_text(text.replace("original: base", "original: finetuned"))
    assert made.stages_run("dvc", "repro") == ["compress", "evaluate"]
    made.commit()
    return made


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
    assert found.to_numpy().tolist() == [["finetuned", "target"]]


def test_it_is_exported_used_registered_and_traced(project: Clone) -> None:
    printed = project.here("src.export", "--model", file("student-int8"))
    assert "equal labels" in printed
    images = "data/raw/mnist-5k/t10k-images-idx3-ubyte.gz"
    told = project.here("src.predict", "--model", file("student-int8"), images).splitlines()
    assert len(told) == 1000
    for name in MADE:
        printed = project.here("src.register.__main__", "--model", file(name), "--dry-run")
        assert f"lineage complete: {', '.join(STAGES[-2::-1])}" in printed
    for command in (("src.lineage", file("student")), ("src.export", "--model", file("student"))):
        assert f"error: {file('student')}: not found; " in project.here(*command, fails=True)
    printed = project.here("src.lineage", file("pruned"))
    steps = [f"\n  {stage}: python -m pipeline.{stage}" for stage in STAGES[-2::-1]]
    assert sorted(steps, key=printed.index) == steps
    assert project.stages_run("dvc", "repro") == []  # an exported file makes nothing stale


def test_its_run_leads_to_its_parent(project: Clone) -> None:
    runs = {run.data.tags["dvc.stage"]: run for run in project.runs()}
    made = runs["compress"]
    assert made.data.tags["upstream.finetune"] == runs["finetune"].info.run_id
    table = pd.read_csv(project.root / "models/compressed/models.csv").set_index("model")
    assert table["parent"].to_dict() == {
        "pruned": "original",
        "student": "original",  # on the way, and not kept
        "student-int8": "student",
    }
    for name in MADE:
        accuracy = made.data.metrics[f"{name}_val_accuracy"]
        assert accuracy > 0.2
        assert accuracy == table.loc[name, "val_accuracy"]
    kept = {path.stem for path in (project.root / "models/compressed").glob("*.safetensors")}
    assert kept == {*MADE}
    assert runs["evaluate"].data.tags["upstream.compress"] == made.info.run_id


def test_pipelines_with_smaller_models_are_compared(project: Clone) -> None:
    assert "nothing differs" in project.here("src.compare.__main__", "HEAD", "workspace")


def test_the_study_compares_all_models_and_goes_on_where_it_was(
    project: Clone, page: Visitor
) -> None:
    command = ("python", "-m", "src.compress", "--seeds", "2", "--workers", "2", "student-int8")
    folder = project.root / "reports/compress"
    folder.mkdir()
    (folder / "other.safetensors").write_bytes(b"of an earlier study")
    document, printed = project.document(*command)
    names = ["finetuned", "student", "student-alone", "student-int8"]
    assert [row["model"] for row in document["models"]] == names
    base, student, alone, small = document["models"]
    assert student["parameters"] == alone["parameters"] == small["parameters"]
    assert student["multiply_adds"] < base["multiply_adds"]
    assert small["bytes"] < base["bytes"]
    assert [row["seeds"] for row in document["models"]] == [1, 2, 2, 2]
    assert student["over_alone"] is not None
    assert alone["over_alone"] is base["difference"] is None
    assert len(pd.read_csv(folder / "outcomes.csv")) == 1 + 3 * 2
    assert {path.name for path in folder.glob("*.safetensors")} == {
        "student.safetensors",
        "student-alone.safetensors",
        "student-int8.safetensors",
    }
    assert document["said"][0] in " ".join(printed.split())
    assert document["said"][0].startswith("student against the same network trained alone")
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
        (("make: []", "make: [small]"), "params.yaml: compress.make: should name some of pruned, "),
        (
            ("    pruned:", "    Pruned:"),
            "compress.models.Pruned: is no name: should be at most 40",
        ),
        (
            ("parent: student", "parent: small"),
            "parent: should be one of original, pruned, student, not small",
        ),
        (("parent: student", "parent: student-int8"), "should not lead back to student-int8"),
        (("parent: student", "parent: int8"), "should be a network, not int8, which has 8 bits"),
        (("make: []", "make: [int8, int8]"), "compress.make: should name each model once"),
        (("    pruned:", "    tiny-alone:"), "models.tiny-alone: is the name of another model"),
        (
            ("epochs: 1\n    batch_size: 32", "epochs: 1\n    batch_size: 9999"),
            "compress.train.batch_size",
        ),
        (("channels: [4]", "1: [4]"), "compress.models.student.network"),
        (("multiply_adds: 0.5", "multiply_adds: 1.5"), "multiply_adds: should be less than 1"),
        (
            ("temperature: 4.0", "temperature: 0.0"),
            "distil.temperature: should be greater",
        ),
        (("channels: [4]", "channels: [4, 4]"), "student: network.kernel_sizes: should have one"),
        (
            ("channels: [4]", "chanels: [4]"),
            "compress.models.student: network.chanels: unknown key; expected",
        ),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    project: Clone, change: tuple[str, str], said: str
) -> None:
    params = project.root / "params.yaml"
    text = params.read_text()
    params.write_text(text.replace(f"make: [{', '.join(MADE)}]", "make: []").replace(*change))
    try:
        printed = project.here("src.compress.__main__", "student-int8", fails=True)
    finally:
        params.write_text(text)
    assert said in printed
    assert printed.count("\n") == 1


def test_an_unknown_name_is_told(project: Clone) -> None:
    printed = project.here("src.compress.__main__", "small", fails=True)
    assert printed.startswith("error: small: should be one of compress.models: pruned, student")
    assert ORIGINAL not in printed
