"""A sweep on a Ray cluster whose nodes are killed, and what is refused before there is one."""

import re
import signal
import socket
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest

from benchmarks.cluster import NODES, STUDY, killed_head, started, until_a_trial_is_finished
from src.core import cli
from src.core.cli import Workers
from src.core.errors import UserError
from tests.clones import clone
from tests.rays import Cluster, ray_cluster


def test_a_sweep_is_exact_whatever_is_killed(tmp_path: Path) -> None:
    """First the head; on a new cluster the same call goes on, and its nodes and it are killed.

    At the end two calls share the study and the cluster, and one of them is interrupted.
    """
    project = clone(tmp_path)
    params = project.root / "params.yaml"
    text = params.read_text().replace("source: mnist-5k", "source: optdigits")
    params.write_text(text.replace("epochs: 2", "epochs: 8", 1))
    printed = killed_head(project, 6)
    assert "Traceback" not in printed
    assert printed.splitlines()[-1].endswith(
        "is gone; call again with a new cluster: what is finished is kept"
    )
    with ray_cluster(project.root) as cluster:
        for name in NODES[:2]:
            cluster.add(name)
        process = started(project, cluster, 6)
        until_a_trial_is_finished(process)
        for name in NODES[:2]:  # at least one of them has a new trial
            cluster.kill(name)
        for name in NODES[:2]:
            cluster.add(name)
        until_a_trial_is_finished(process)
        time.sleep(0.5)  # until another one runs, which takes seconds
        process.kill()
        process.communicate()
        begun = time.time()
        process, other = (started(project, cluster, 6, "--workers", "1") for _ in range(2))
        while not all(has_worker(cluster, name, begun) for name in NODES[:2]):
            assert time.time() < begun + 90
            time.sleep(0.2)
        other.send_signal(signal.SIGINT)
        printed, _ = other.communicate()
        assert other.returncode == 1, printed
        assert printed.endswith("interrupted\n")
        assert "Traceback" not in printed
        printed, _ = process.communicate()
    assert process.returncode == 0, printed
    trials = pd.read_csv(project.root / f"reports/tune/{STUDY}.csv")
    states = Counter(trials["state"])
    assert states["complete"] + states["pruned"] == 6
    assert states.keys() <= {"complete", "pruned", "failed"}
    reasons = trials["reason"][trials["state"] == "failed"].tolist()
    assert any(re.fullmatch(r"its worker( on node \w+)? was lost", reason) for reason in reasons)
    assert "its process was killed" in reasons
    values = trials.columns[trials.columns.str.contains(".", regex=False)]
    assert not trials[trials["state"] == "complete"].duplicated([*values]).any()
    runs = project.runs("tune")
    ended = Counter(run.info.status for run in runs)
    assert ended == {"FINISHED": 1 + 6, "FAILED": states["failed"]}
    nodes = [run.data.tags.get("node") for run in runs if run.info.status == "FINISHED"]
    assert Counter(node in NODES for node in nodes) == {True: 6, False: 1}


def has_worker(cluster: Cluster, node: str, since: float) -> bool:
    """Whether a command that was started then has asked for a worker, and has it on this node."""
    for process in cluster.processes(node):
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            if "ray::Actor" in " ".join(process.cmdline()) and process.create_time() > since:
                return True
    return False


def arguments(*given: str) -> Workers:
    parser = cli.Parser("tune", "")
    parser.add_workers("", "")
    return Workers.of(parser.parse_args(given), default=2)


def test_workers_are_those_of_this_machine_or_of_a_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda _: "found")
    assert arguments() == Workers(2)
    assert arguments("--workers", "3") == Workers(3)
    assert arguments("--cluster", "auto") == Workers(None, "auto")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        given = ("--cluster", address, "--workers", "3", "--gpus-per-worker", "0.5")
        assert arguments(*given) == Workers(3, address, 0.5)
    message = f"--cluster {address}: no Ray cluster answers there"
    with pytest.raises(UserError, match=message):  # before a study is opened
        arguments("--cluster", address)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--cluster", "here"), "--cluster: should be auto, local or host:port, not 'here'"),
        (("--cluster", "ray://a:1"), "--cluster: should be auto, local or host:port"),
        (("--cluster", "a:99999"), "--cluster: should be a port from 1 to 65535, not '99999'"),
        (("--gpus-per-worker", "2"), "--gpus-per-worker: should be 0, 1, or a share of a GPU"),
    ],
)
def test_arguments_that_cannot_be_are_told(
    given: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        arguments(*given)
    assert message in capsys.readouterr().err


def test_gpus_are_given_by_a_cluster_and_a_cluster_needs_ray(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(UserError, match="--gpus-per-worker: is for --cluster"):
        arguments("--gpus-per-worker", "1")
    monkeypatch.setattr(cli, "find_spec", lambda _: None)
    with pytest.raises(UserError, match="Ray is not installed; `make cluster` installs it"):
        arguments("--cluster", "auto")
