"""Real workers on the nodes of a Ray cluster, on few digits."""

import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from src.core.cli import Workers
from src.core.errors import UserError
from src.core.progress import Epoch
from src.data.imageset import save_images
from src.data.splits import Splits
from src.execution.executor import Executor, Failed, Finished, Lost, Stopped, WorkerError
from src.execution.launch import described, launched
from src.models.scoring import predict
from src.training.jobs import Scratch
from src.training.scratch import train_from_scratch
from tests.conftest import ROOT, WORKPLACE, shrunk
from tests.execution.test_local import outcome, wait_for_epoch
from tests.rays import Cluster, ray_cluster
from tests.tune.conftest import BeginStudy, begin  # noqa: F401 a fixture
from tests.tune.test_sweep import run as sweep

PARAMS = shrunk()
RUNTIME = PARAMS.runtime
JOB = Scratch(train=PARAMS.train, seed=0, model=PARAMS.model, tests=("source.val",))
LONG = replace(JOB, train=shrunk(train__epochs=10_000).train)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """At first without a node for workers."""
    with ray_cluster(ROOT) as made:
        yield made


@pytest.fixture(scope="module")
def images(few: Splits, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("images")
    found = {name: folder / path.name for name, path in WORKPLACE.items()}
    for path, data in zip(found.values(), (few.train, few.val), strict=True):
        save_images(path, data)
    return found


@pytest.fixture(scope="module")
def executor(cluster: Cluster, images: Mapping[str, Path]) -> Iterator[Executor]:
    """With one node; the last tests share it: a process has one at a time."""
    cluster.add("one")
    with launched(Workers(None, cluster.address), RUNTIME, images, lambda: None) as opened:
        wait_for_workers(opened, 1)
        yield opened


def wait_for_workers(executor: Executor, count: int) -> None:
    deadline = time.monotonic() + 90
    while executor.capacity != count:
        assert time.monotonic() < deadline
        for name, message in executor.messages(1.0):
            if isinstance(message, Epoch):
                executor.answer(name, True)


def process(cluster: Cluster, of: str, node: str = "one") -> psutil.Process:
    """The only process of this kind on a node."""
    (found,) = (each for each in cluster.processes(node) if of in " ".join(each.cmdline()))
    return found


def checkout(folder: Path) -> Path:
    """All that a node is asked for, copied into a folder."""
    shutil.copytree(ROOT / "src", folder / "src")
    for name in ("dvc.yaml", ".dvcignore", "requirements.lock"):
        shutil.copy(ROOT / name, folder)
    return folder


def test_a_node_with_other_code_is_left_out(
    cluster: Cluster,
    images: Mapping[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    old = checkout(tmp_path / "old")
    (old / "src/training/fit.py").write_text("# another commit\n")
    cluster.add("old", checkout=old)
    cluster.add("bare", checkout=tmp_path)
    reasons = {
        "old": "src/training differs; its checkout and environment should be the same",
        "bare": f"`ray start` was not called in a checkout, but in {tmp_path}",
    }
    with (
        launched(Workers(None, cluster.address), RUNTIME, images, lambda: None) as opened,
        pytest.raises(UserError, match=r"no node can be used; node (old|bare): "),
    ):
        wait_for_workers(opened, 1)
    told = capsys.readouterr().err
    for name, reason in reasons.items():
        assert told.count(f"warning: node {name} is left out: {reason}\n") == 1
    cluster.kill("old")
    cluster.kill("bare")


def test_a_node_whose_code_changes_meanwhile_is_left_out(
    cluster: Cluster,
    images: Mapping[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Once it needs another worker: the one that is at work has the code of before."""
    edited = checkout(tmp_path / "edited")
    cluster.add("edited", checkout=edited)
    with launched(Workers(None, cluster.address), RUNTIME, images, lambda: None) as opened:
        wait_for_workers(opened, 1)
        with (edited / "src/training/fit.py").open("a") as file:
            file.write("# edited\n")
        process(cluster, "src.execution.worker", "edited").kill()
        reason = "its code has changed since the worker was started; call again"
        lost = set()
        while reason not in lost:  # at first perhaps that it was killed
            opened.submit("it", JOB)
            message = outcome(opened)
            assert isinstance(message, Lost)
            lost.add(message.reason)
    assert f"warning: node edited is left out: {reason}\n" in capsys.readouterr().err
    cluster.kill("edited")


def test_a_local_cluster_listens_to_this_machine_only(
    cluster: Cluster, images: Mapping[str, Path]
) -> None:
    """The fixture is asked for its environment: nothing is written into the home."""
    before = {*psutil.Process().children(recursive=True)}
    with launched(Workers(5, "local"), RUNTIME, images, lambda: None) as opened:
        wait_for_workers(opened, len(os.sched_getaffinity(0)))  # 5 are more than it has room for
        opened.submit("it", JOB)
        assert isinstance(outcome(opened), Finished)
        started = {*psutil.Process().children(recursive=True)} - before
        listening = {
            each.laddr.ip
            for process in started
            for each in process.net_connections()
            if each.status == psutil.CONN_LISTEN
        }
    assert listening <= {"127.0.0.1", "::ffff:127.0.0.1"}
    assert len(listening) > 0
    assert not psutil.wait_procs(started, timeout=20)[1]


def test_a_cluster_without_room_for_a_worker_is_refused(
    cluster: Cluster, images: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.execution.cluster.PATIENCE", 0.0)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)  # other tests may have clusters, too
    runtime = RUNTIME.model_copy(update={"device": "auto"})
    message = "--cluster auto: no node can be used; none has 1 CPU and 1 GPU for a worker"
    with (
        launched(Workers(2, "auto", 1), runtime, images, lambda: None) as opened,
        pytest.raises(UserError, match=message),
    ):
        outcome(opened)


def test_a_token_of_another_cluster_is_refused(
    cluster: Cluster, images: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "of-somebody-else" * 4)
    with (
        launched(Workers(1, cluster.address), RUNTIME, images, lambda: None) as opened,
        pytest.raises(UserError, match=r"the cluster has another token: ~/\.ray/auth_token should"),
    ):
        outcome(opened)


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of something that listens, and is no head."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_head_that_does_not_answer_is_not_waited_for(
    silent: str, images: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.execution.joining.LIMIT", 2.0)
    before = {*psutil.Process().children()}
    with (
        launched(Workers(1, silent), RUNTIME, images, lambda: None) as opened,
        pytest.raises(UserError, match="not joined within 2 seconds: no head of a Ray cluster"),
    ):
        outcome(opened)
    assert {*psutil.Process().children()} == before


def test_joining_can_be_interrupted(silent: str, images: Mapping[str, Path]) -> None:
    interrupt = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()
    with (
        launched(Workers(1, silent), RUNTIME, images, lambda: None) as opened,
        pytest.raises(KeyboardInterrupt),
    ):
        outcome(opened)


def test_a_node_whose_workers_cannot_start_is_left_out(
    cluster: Cluster, images: Mapping[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """As one whose GPU is broken: it says that it has one."""
    cluster.add("broken", gpus=1)
    runtime = RUNTIME.model_copy(update={"device": "auto"})
    with (
        launched(Workers(None, cluster.address, 0.5), runtime, images, lambda: None) as opened,
        pytest.raises(UserError, match=r"no node can be used; node broken: runtime\.device: cuda"),
    ):
        wait_for_workers(opened, 1)
    told = capsys.readouterr().err
    assert "node broken is left out: runtime.device: cuda not found" in told
    cluster.kill("broken")


def test_nothing_is_trained_once_the_check_fails(
    cluster: Cluster, images: Mapping[str, Path]
) -> None:
    def check() -> None:
        raise UserError("fit has changed")

    with (
        launched(Workers(1, cluster.address), RUNTIME, images, check) as opened,
        pytest.raises(UserError, match="fit has changed"),
    ):
        outcome(opened)


@pytest.mark.parametrize(
    ("device", "gpus", "message"),
    [
        ("cuda", 0, "--gpus-per-worker: should be above 0, because runtime.device is cuda"),
        ("cpu", 0.5, "--gpus-per-worker: should be 0, because runtime.device is cpu"),
        ("cuda:1", 1, "runtime.device: should be auto on a cluster, where Ray says which GPU"),
    ],
)
def test_the_device_is_the_one_that_ray_gives(device: str, gpus: float, message: str) -> None:
    runtime = RUNTIME.model_copy(update={"device": device})
    with pytest.raises(UserError, match=message):
        described(Workers(1, "auto", gpus), runtime)
    auto = RUNTIME.model_copy(update={"device": "auto"})
    assert described(Workers(1, "auto", gpus), auto)["cluster"] == ("cuda" if gpus else "cpu")


def test_a_node_trains_as_the_train_stage_does_to_the_last_bit(
    executor: Executor, few: Splits
) -> None:
    executor.submit("it", JOB)
    message = outcome(executor)
    here = train_from_scratch(JOB.model, JOB.train, few.train, few.val, JOB.seed)
    assert isinstance(message, Finished)
    result = message.result
    assert result.fit.kept.val_loss == here.fit.kept.val_loss
    made = result.predictions["source.val"]
    assert made.logits.equal(predict(here.checkpoint.model, few.val))
    assert (result.machine["node"], result.machine["device"]) == ("one", "cpu")
    assert not result.alone  # others may use the node


def test_a_job_stops_when_the_answer_is_no_and_another_fails(executor: Executor) -> None:
    executor.submit("it", LONG)
    wait_for_epoch(executor)
    executor.answer("it", False)
    stopped = outcome(executor)
    assert isinstance(stopped, Stopped)
    assert (stopped.epoch, stopped.machine["node"]) == (1, "one")
    bad = shrunk(train__optimizer__learning_rate=100.0, train__optimizer__name="sgd")
    executor.submit("next", replace(JOB, train=bad.train))
    failed = outcome(executor)
    assert isinstance(failed, Failed)
    assert failed.reason.startswith("the training loss became nan")
    assert (failed.traceback, failed.machine["node"]) == ("", "one")


def test_a_killed_process_is_lost_and_replaced(executor: Executor, cluster: Cluster) -> None:
    executor.submit("it", LONG)
    wait_for_epoch(executor)
    executor.answer("it", True)
    process(cluster, "src.execution.worker").kill()
    assert outcome(executor) == Lost("its worker was killed, by someone or for lack of memory")
    executor.submit("it", LONG)
    wait_for_epoch(executor)
    executor.answer("it", True)
    process(cluster, "ray::Actor").kill()
    assert outcome(executor) == Lost("its worker on node one was lost")
    wait_for_workers(executor, 1)
    process(cluster, "ray::Actor").kill()
    wait_for_workers(executor, 0)  # an idle one is missed before it is given a job
    wait_for_workers(executor, 1)
    executor.submit("it", JOB)
    assert isinstance(outcome(executor), Finished)


def test_a_seeded_sweep_is_the_same_on_a_node_and_at_home(
    executor: Executor,
    images: Mapping[str, Path],
    begin: BeginStudy,  # noqa: F811
) -> None:
    home, away = (begin(name, seed=3, pruner="halving") for name in ("home", "away"))
    with launched(Workers(1), RUNTIME, images, lambda: None) as here:
        sweep(home, here, wanted=5)
    sweep(away, executor, wanted=5)
    for one, other in zip(home.trials(), away.trials(), strict=True):
        assert (one.state, one.params, one.values) == (other.state, other.params, other.values)
        assert one.intermediate_values == other.intermediate_values
        nodes = [trial.user_attrs["machine"].get("node") for trial in (one, other)]
        assert nodes == [None, "one"]


def test_nodes_join_and_leave(executor: Executor, cluster: Cluster) -> None:
    executor.submit("it", LONG)
    wait_for_epoch(executor)
    executor.answer("it", True)
    cluster.add("two")
    wait_for_workers(executor, 2)
    cluster.kill("one")
    assert outcome(executor) == Lost("its worker on node one was lost")
    executor.submit("it", JOB)
    finished = outcome(executor)
    assert isinstance(finished, Finished)
    assert finished.result.machine["node"] == "two"


def test_an_interruption_is_raised_between_messages(executor: Executor) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        [*executor.messages(0.0)]


def test_a_bug_on_a_node_shows_its_traceback(executor: Executor) -> None:
    """The last test: what a bug leaves of an executor is of no use."""
    executor.submit("it", lambda: None)  # type: ignore[arg-type]  # cannot be sent to a process
    with pytest.raises(WorkerError, match=r"node (one|two): .*pickle") as raised:
        outcome(executor)
    assert "relay.py" in str(raised.value.__cause__)
