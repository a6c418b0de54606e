"""src.register on a finished pipeline: who becomes champion, who does not, and why."""

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from onnx import numpy_helper

from src.core.finding import Finding
from src.data.idx import read_idx, write_idx
from src.data.imageset import join, load_images, save_images
from src.inference.engines import DIGEST, UNSEALED, sealed
from src.tracking.registry import registry
from tests.clones import STAGES, Clone
from tests.conftest import ROOT
from tests.custom import write_custom
from tests.test_lineage import changed

BASE, FINETUNED = "models/base.safetensors", "models/finetuned.safetensors"
MADE = ("params.yaml", "dvc.lock", "models", "reports", "data")  # by the stages


@pytest.fixture(scope="module", autouse=True)
def _one_severity() -> Iterator[None]:
    """Of five: most of the time goes there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("src.register.contest.SEVERITIES", (1,))
        yield


@pytest.fixture(scope="module")
def project(finished: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A copy of the finished clone; its fine-tuned model has won against the base model."""
    made = Clone(tmp_path_factory.mktemp("register") / "copy")
    shutil.copytree(finished.root, made.root)
    assert registered(made) == f"{BASE}: version 1 of idxflow is champion, the first"
    told = f"{FINETUNED}: version 2 of idxflow is champion, in place of version 1"
    assert registered(made, "--model", FINETUNED) == told
    return made


def registered(project: Clone, *arguments: str) -> str:
    """The first line of what is printed."""
    return project.here("src.register.__main__", *arguments).splitlines()[0]


def refused(project: Clone, *arguments: str) -> str:
    """The reasons, which are in one line."""
    printed = project.here("src.register.__main__", *arguments, fails=True)
    assert printed.startswith("error: models/")
    assert printed.count("\n") == 1
    return printed


def store(project: Clone) -> MlflowClient:
    return MlflowClient(f"sqlite:///{project.root / 'mlflow.db'}")


def versions(project: Clone) -> list[ModelVersion]:
    """The oldest first."""
    found = store(project).search_model_versions("name = 'idxflow'")
    return sorted(found, key=lambda version: int(version.version))


def aliases(project: Clone) -> dict[str, int]:
    [model] = store(project).search_registered_models("name = 'idxflow'")
    return {alias: int(number) for alias, number in model.aliases.items()}


@contextmanager
def remade(project: Clone, changes: dict[str, str], *stages: str) -> Iterator[None]:
    """These stages have run, in this process, with another params.yaml; afterwards all is back."""
    kept = project.root.parent / "kept"
    kept.mkdir()
    for name in MADE:
        copy(project.root / name, kept / name)
    try:
        make(project, changes, *stages)
        yield
    finally:
        for name in MADE:
            remove(project.root / name)
            (kept / name).rename(project.root / name)
        kept.rmdir()


def make(project: Clone, changes: dict[str, str], *stages: str) -> None:
    params = project.root / "params.yaml"
    text = params.read_text()
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    params.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        # What takes long, and the gate does not read.
        patch.setattr("src.core.finding.save_figure", lambda *_: None)
        for analysis in ("robustness", "attributions", "features"):
            patch.setattr(f"pipeline.evaluate.{analysis}", lambda *_: Finding())
        for stage in stages:
            project.here(f"pipeline.{stage}")
    project.call("dvc", "commit", "--force", "--quiet")


def copy(source: Path, to: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, to)
    else:
        shutil.copy2(source, to)


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def test_a_champion_says_what_it_comes_from(project: Clone) -> None:
    assert aliases(project)["champion"] == 2
    first, second, *_ = versions(project)
    tags, runs = second.tags, {str(run.info.run_name): run for run in project.runs()}
    assert {stage: tags[f"upstream.{stage}"] for stage in STAGES} == {
        stage: runs[stage].info.run_id for stage in STAGES
    }
    assert tags["made.commit"] == runs["finetune"].data.tags["git.commit"]
    assert tags["test.target"] == runs["evaluate"].data.tags["test.target"]
    assert float(tags["better.p"]) < 0.05
    assert float(tags["better.difference"]) > 0
    assert float(tags["robust.high"]) > 0
    assert tags["verdict"] == "version 2 of idxflow is champion, in place of version 1"
    assert "passed: lineage complete" in (second.description or "")
    assert "better.p" not in first.tags
    steps = project.here("src.lineage", str(second.run_id))
    assert [name for name in STAGES if f"\n  {name}: python -m" in steps] == STAGES


def test_a_version_has_signature_example_and_no_pickle(project: Clone) -> None:
    run = versions(project)[0].run_id
    folder = project.root / f"mlartifacts/{run}/artifacts/model"
    assert {path.name for path in folder.iterdir()} == {
        *("MLmodel", "model.onnx", "conda.yaml", "python_env.yaml", "requirements.txt"),
        *("input_example.json", "serving_input_example.json"),
    }
    about = (folder / "MLmodel").read_text()
    for part in ("pixels", "uint8", "[-1, 1, 28, 28]", "probabilities", "distances", "[-1, 10]"):
        assert part in about
    assert [line.split("==")[0] for line in (folder / "requirements.txt").read_text().split()] == [
        *("mlflow", "numpy", "onnx", "onnxruntime")
    ]
    [pixels] = json.loads((folder / "serving_input_example.json").read_text())["inputs"].values()
    assert np.array_equal(pixels, images(project, "source")[:2])


def test_a_model_that_is_no_better_is_refused_and_is_no_second_version(project: Clone) -> None:
    """The base model, which was the first champion."""
    count = len(versions(project))
    told = refused(project)
    assert "version 1 of idxflow is challenger, not champion: no better than chance: " in told
    assert aliases(project) == {"champion": 2, "challenger": 1}
    assert len(versions(project)) == count
    assert registered(project, "--model", FINETUNED).endswith(
        "version 2 of idxflow is champion already"
    )
    assert len(versions(project)) == count


def test_a_worse_model_is_refused_unless_it_is_forced(project: Clone) -> None:
    """Fine-tuned with steps so small that it has hardly learned."""
    slow = {"learning_rate: 0.001": "learning_rate: 0.00001"}
    with remade(project, slow, *STAGES[3:]):
        number = len(versions(project)) + 1
        dry = refused(project, "--model", FINETUNED, "--dry-run")
        assert "a version of idxflow would be challenger, not champion: worse: " in dry
        assert len(versions(project)) == number - 1
        told = refused(project, "--model", FINETUNED)
        assert f"version {number} of idxflow is challenger, not champion: worse: " in told
        assert "no better than chance" not in told
        assert aliases(project) == {"champion": 2, "challenger": number}
        why = "a trial, password=hunter2"
        told = registered(project, "--model", FINETUNED, "--force", why)
    assert f"version {number} of idxflow is champion, in place of version 2, forced" in told
    assert aliases(project) == {"champion": number}
    tags = versions(project)[-1].tags
    assert tags["forced.why"] == "a trial, password=***"
    assert "better" in tags["forced.checks"].split(", ")
    assert tags["forced.by"] == tags["judged.by"] != ""
    store(project).set_registered_model_alias("idxflow", "champion", "2")


@pytest.mark.parametrize(
    ("part", "force"), [("head", []), ("whitening", ["--force", "nevertheless"])]
)
def test_a_broken_export_is_not_let_in(project: Clone, part: str, force: list[str]) -> None:
    """Values have changed, and the file says as before that it has passed parity."""
    file = project.root / "models/finetuned.onnx"
    proto = onnx.load_from_string(file.read_bytes())
    value = next(each for each in proto.graph.initializer if part in each.name)
    values = numpy_helper.to_array(value) + np.float32(0.01)
    value.CopyFrom(numpy_helper.from_array(values, value.name))
    count = len(versions(project))
    # With its digest: nobody has damaged it, it was written so.
    about = {each.key: each for each in proto.metadata_props}
    about[DIGEST].value = UNSEALED.decode()
    with changed(file, sealed(proto.SerializeToString())):
        told = refused(project, "--model", FINETUNED, *force)
    assert "not registered: broken export: largest difference between logits " in told
    assert len(versions(project)) == count
    assert aliases(project)["champion"] == 2


def test_a_model_of_other_classes_is_refused(project: Clone) -> None:
    folder = write_custom(project.root / "squares", size=12, each=200)
    # The generated test images are among the training images, unless they are changed.
    drawn = read_idx(folder / "t10k-images-idx3-ubyte.gz").copy()
    drawn[:, 0, 0] ^= 1
    write_idx(folder / "t10k-images-idx3-ubyte.gz", drawn)
    data = {
        "source: mnist-5k": "source: folder:squares",
        "target: optdigits": "target: folder:squares",
    }
    with remade(project, data, *STAGES):
        told = refused(project)
    shutil.rmtree(folder)
    assert (
        "challenger, not champion: other classes: 3 classes (0, 1, 2) of images 1x12x12; " in told
    )
    assert told.endswith("the champion's are 10 classes (0, 1, 2, 3, 4, ...) of images 1x28x28\n")
    assert aliases(project)["champion"] == 2


def test_a_model_that_has_learned_test_images_is_not_let_in(project: Clone) -> None:
    count = len(versions(project))
    with remade(project, {}):
        train = project.root / "data/tensors/source/train.safetensors"
        seen = load_images(train.with_name("test.safetensors"))
        save_images(train, join(load_images(train), seen.subset(seen.labels == 3)))
        make(project, {}, *STAGES[2:])
        told = refused(project)
    assert "not registered: test images in training: 100 of 1,000 test images are among " in told
    assert told.count(";") == 0
    assert len(versions(project)) == count


def test_a_model_of_uncertain_origin_is_not_let_in(project: Clone) -> None:
    client = store(project)
    run = next(run for run in project.runs() if run.info.run_name == "preprocess").info.run_id
    client.set_tag(run, "git.dirty", "true")
    assert "not complete: preprocess ran with uncommitted changes" in refused(project)
    client.set_tag(run, "git.dirty", "false")
    client.delete_run(run)
    assert "not registered: lineage not complete: preprocess has no run in MLflow" in refused(
        project
    )
    client.restore_run(run)
    with changed(project.root / "src/models/cnn.py", b"#\n"):
        assert "lineage not complete: src/models: changed since " in refused(project)
    with changed(project.root / "dvc.lock", b"schema: '2.0'\n"):
        assert "dvc.lock names no stage that made it" in refused(project)


def test_only_models_that_evaluate_has_seen_are_let_in(project: Clone) -> None:
    for suffix in (".safetensors", ".onnx"):  # whatever the files are called
        model = (project.root / FINETUNED).with_suffix(suffix)
        shutil.copy(model, model.with_stem("copy"))
    told = registered(project, "--model", "models/copy.safetensors")
    assert told == "models/copy.safetensors: version 2 of idxflow is champion already"
    usage = project.root / "reports/evaluation/usage.json"
    usage.rename(project.root / "away")
    assert refused(project) == (
        f"error: {BASE}: not a model that evaluate has seen as it is; `dvc repro` first\n"
    )
    (project.root / "away").rename(usage)
    assert "models/none: not a file; `dvc repro` makes" in refused(
        project, "--model", "models/none"
    )


def test_json_is_one_document(project: Clone) -> None:
    tree = json.loads(
        project.here("src.register.__main__", "--model", FINETUNED, "--json", "--dry-run")
    )
    assert (tree["version"], tree["alias"], tree["known"]) == (2, "champion", True)
    assert [check["name"] for check in tree["checks"]] == [
        "parity",
        "lineage",
        "held_out",
        "accuracy",
    ]
    assert (tree["reasons"], tree["dry_run"]) == ([], True)


def test_runs_of_registrations_take_part_in_no_comparison(project: Clone) -> None:
    printed = project.here("src.compare.__main__", "HEAD", "register", fails=True)
    assert "of one run in MLflow, not of " in printed
    run = str(versions(project)[0].run_id)
    printed = project.here("src.compare.__main__", "HEAD", run, fails=True)
    assert f"{run}: a run of no stage on which no finished evaluate run is based" in printed


def test_a_moved_checkout_finds_its_champion_unless_its_files_are_gone(project: Clone) -> None:
    there, here = project.root.with_name("moved"), project.root
    here.rename(there)
    moved = Clone(there)
    try:
        assert "champion already" in registered(moved, "--model", FINETUNED)
        run = store(moved).get_model_version("idxflow", "2").run_id
        file = there / f"mlartifacts/{run}/artifacts/model/model.onnx"
        with changed(file, file.read_bytes()[:-1]):
            told = refused(moved)
        assert "no contest with the champion, version 2: its file in MLflow is not as it" in told
        file.rename(there / "away")
        told = refused(moved)
        assert "no contest with the champion, version 2: its files are gone from MLflow" in told
        (there / "away").rename(file)
    finally:
        there.rename(here)


def test_a_champion_that_changed_meanwhile_is_left_alone(
    project: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("DVC_ROOT", str(project.root))
    with registry() as found:
        champion = found.champion()
        assert champion is not None
        with pytest.raises(ValueError, match="has another champion by now"):
            found.make_champion(champion, instead_of=None)
    assert aliases(project)["champion"] == champion.number


def test_what_is_served_answers_as_src_predict(project: Clone) -> None:
    pixels = images(project, "source")[:100]
    write_idx(project.root / "data/hundred.idx", pixels[:, 0])
    printed = project.here("src.predict", "data/hundred.idx", "--model", FINETUNED)
    answers = [json.loads(line) for line in printed.splitlines()]
    with served(project) as address:
        said = ask(address, {"inputs": {"pixels": pixels.tolist()}})
        bare = ask(address, {"inputs": pixels[:1].tolist()})
    probabilities = np.array(said["probabilities"])
    assert len(answers) == len(probabilities) == 100
    for row, answer in zip(probabilities, answers, strict=True):
        assert str(row.argmax()) == answer["label"]
        for each in answer["top"]:
            assert row[int(each["label"])] == pytest.approx(each["probability"], abs=1e-5)
    assert np.allclose(bare["logits"], said["logits"][:1], atol=1e-5)


def images(project: Clone, role: str) -> np.ndarray:
    """The test images, uint8 [N, C, H, W]."""
    return load_images(project.root / f"data/tensors/{role}/test.safetensors").images.numpy()


@contextmanager
def served(project: Clone) -> Iterator[str]:
    """The address of the champion, served by MLflow with nothing but the checkout's folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = ["mlflow", "models", "serve", "-m", "models:/idxflow@champion"]
    process = subprocess.Popen(
        [*command, "--env-manager", "local", "--host", "127.0.0.1", "--port", port],
        cwd=project.root,
        env={**os.environ, "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # with the server that it starts
    )
    try:
        for _ in range(300):
            assert process.poll() is None, process.communicate()[0]
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", int(port))) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate()


def ask(address: str, question: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310
        address, json.dumps(question).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)["predictions"]
        return found
