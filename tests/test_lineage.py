"""src.lineage on a finished pipeline: back, forward, and what has been tampered with."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow import MlflowClient

from src.tracking.store import existing
from tests.clones import STAGES, Clone

METRIC = "reports/metrics.json:finetuned.target.accuracy"
TENSORS = "data/tensors/target/val.safetensors"


def traced(project: Clone, thing: str, *, fails: bool = False) -> tuple[list[str], str]:
    """The stages in the order in which they are told, and all that is printed."""
    printed = project.here("src.lineage", thing, fails=fails)
    names = [line.strip().partition(": python")[0] for line in printed.splitlines()]
    return [name for name in names if name in STAGES], printed


@contextmanager
def changed(path: Path, content: bytes) -> Iterator[None]:
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(before)


def test_a_metric_leads_back_to_raw_bytes(finished: Clone) -> None:
    stages, printed = traced(finished, METRIC)
    assert stages == STAGES[::-1]
    raw = finished.outputs()["data/raw"][:12]
    assert f"out {raw} data/raw: verified" in printed
    assert "with data.source=mnist-5k" in printed
    runs = {str(run.info.run_name): run for run in finished.runs()}
    for stage in STAGES:
        commit = runs[stage].data.tags["git.commit"][:12]
        assert f"    run {runs[stage].info.run_id[:12]}, commit {commit}\n" in printed
    assert printed.endswith("hashes computed again, 0 faults\n")


@pytest.mark.parametrize(
    ("thing", "stages"),
    [
        ("data/raw/mnist-5k", ["download", *STAGES[1:]]),
        ("models/base.safetensors", ["train", "preprocess", "download", *STAGES[3:]]),
        ("reports/evaluation/accuracy.csv", STAGES[::-1]),
        ("train.epochs", STAGES[2:]),
        ("finetune", ["finetune", "compress", "evaluate"]),
        ("src/models/cnn.py", STAGES[2:]),
        ("data/tensors", ["preprocess", "download", *STAGES[2:]]),
    ],
)
def test_a_thing_leads_back_and_forward(finished: Clone, thing: str, stages: list[str]) -> None:
    assert traced(finished, thing)[0] == stages


def test_a_tampered_file_is_found_on_the_way(finished: Clone) -> None:
    with changed(finished.root / TENSORS, b"tampered"):
        _, printed = traced(finished, METRIC, fails=True)
    assert f"{TENSORS}: changed since" in printed
    told = f"error: {METRIC}: not as it was: {TENSORS}: changed since"
    assert printed.splitlines()[-1] == f"{told} evaluate read it (and 3 more)"
    (finished.root / TENSORS).rename(finished.root / "away")
    _, printed = traced(finished, METRIC, fails=True)
    assert f"{TENSORS}: missing" in printed
    (finished.root / "away").rename(finished.root / TENSORS)


def test_a_changed_parameter_or_code_is_found(finished: Clone) -> None:
    params = finished.root / "params.yaml"
    with changed(params, params.read_bytes().replace(b"seed: 0", b"seed: 3")):
        assert "params.yaml: seed was 0, and is 3" in traced(finished, METRIC, fails=True)[1]
    code = finished.root / "src/models/cnn.py"
    with changed(code, code.read_bytes() + b"#\n"):
        printed = traced(finished, METRIC, fails=True)[1]
    assert "src/models: changed since" in printed


def test_a_changed_metric_is_found(finished: Clone) -> None:
    metrics = finished.root / "reports/metrics.json"
    value = json.loads(metrics.read_text())["finetuned"]["target"]["accuracy"]
    with changed(metrics, metrics.read_bytes().replace(str(value).encode(), b"0.999")):
        printed = traced(finished, METRIC, fails=True)[1]
    assert "finetuned.target.accuracy is 0.999, but its run" in printed
    assert (
        "nothing cannot be read from it"
        in traced(finished, "reports/metrics.json:nothing", fails=True)[1]
    )


def test_a_run_leads_back_even_when_the_workspace_has_moved_on(finished: Clone) -> None:
    [evaluate] = [run for run in finished.runs() if run.info.run_name == "evaluate"]
    assert traced(finished, evaluate.info.run_id[:8])[0] == STAGES[::-1]
    code = finished.root / "src/models/cnn.py"
    with (
        changed(finished.root / TENSORS, b"tampered"),
        changed(code, code.read_bytes() + b"#\n"),
    ):
        printed = traced(finished, evaluate.info.run_id)[1]
        assert f"{TENSORS}: verified in DVC's cache" in printed
        assert "src/models: verified in git" in printed
        md5 = finished.outputs()[TENSORS]
        cached = finished.root / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
        cached.chmod(0o644)
        with changed(cached, b"damaged"):
            printed = traced(finished, evaluate.info.run_id, fails=True)[1]
    assert f"{TENSORS}: not kept, so not verified" in printed


def test_json_has_the_same(finished: Clone) -> None:
    tree = json.loads(finished.here("src.lineage", METRIC, "--json"))
    assert [step["name"] for step in tree["made_by"]] == STAGES[::-1]
    assert tree["faults"] == tree["used_by"] == []
    [raw] = tree["made_by"][-1]["outputs"]
    assert raw == {
        "path": "data/raw",
        "md5": finished.outputs()["data/raw"],
        "state": "verified",
    }


def test_what_is_not_known_is_told_in_one_line(finished: Clone) -> None:
    printed = finished.here("src.lineage", "models/nothing", fails=True)
    assert printed.startswith("error: models/nothing: should be a file or folder that")
    assert printed.count("\n") == 1
    assert existing(MlflowClient(f"sqlite:///{finished.root / 'mlflow.db'}")) == ["1"]
