"""Is a sweep exact if the nodes of its Ray cluster are killed by SIGKILL?

    python -m benchmarks.cluster

Runs in a copy of the repository, on a cluster of four nodes on this machine, on 127.0.0.1 alone: a
head, and three nodes with room for one worker each. First the head is killed in the middle of a
sweep of 50 trials. Then the same command goes on with a new cluster: every 60 seconds one of its
three nodes is killed, and brought back; once the command itself is killed instead, and called
again.
"""

import itertools
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

import pandas as pd

from src.config.values import rewrite
from tests.clones import Clone, clone
from tests.rays import Cluster, ray_cluster

STUDY, NODES = "nodes", ("one", "two", "three")
EPOCHS = 40  # of a trial: some 15 seconds


def sweep_in_chaos(
    project: Clone, cluster: Cluster, trials: int, every: float
) -> tuple[Counter[str], str]:
    """Sweep on the cluster, and kill one of its nodes every `every` seconds, and bring it back.

    The second time the command is killed instead. Returns how many of the "nodes" and "commands"
    were killed, and what the last command printed.
    """
    killed, names = Counter[str](), itertools.cycle(NODES)
    process = started(project, cluster, trials)
    while True:
        try:
            printed, _ = process.communicate(timeout=every)
        except subprocess.TimeoutExpired:
            if killed.total() == 1:
                process.kill()
                process.communicate()
                process = started(project, cluster, trials)
                killed["commands"] += 1
            else:
                cluster.kill(name := next(names))
                cluster.add(name)
                killed["nodes"] += 1
        else:
            assert process.returncode == 0, printed
            return killed, printed


def killed_head(project: Clone, trials: int) -> str:
    """What a sweep prints whose cluster loses its head after the first trial."""
    with ray_cluster(project.root) as cluster:
        cluster.add(NODES[0])
        process = started(project, cluster, trials)
        printed = until_a_trial_is_finished(process)
        cluster.kill("head")
        printed += process.communicate()[0]
        assert process.returncode == 1, printed
        return printed


def started(
    project: Clone, cluster: Cluster, trials: int, *arguments: str
) -> "subprocess.Popen[str]":
    command = ("python", "-m", "src.tune", "--trials", str(trials), "--study", STUDY)
    return project.start(*command, "--cluster", cluster.address, *arguments)


def until_a_trial_is_finished(process: "subprocess.Popen[str]") -> str:
    """Wait until it prints that a trial is complete or pruned; returns what it prints before."""
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        if line.startswith("trial-") and " failed " not in line:
            return printed
        printed += line
    raise AssertionError(printed)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = clone(Path(folder))
        params = project.root / "params.yaml"
        params.write_text(rewrite(params.read_text(), {"train.epochs": EPOCHS}))
        begun = time.monotonic()
        print(f"its head killed: {killed_head(project, 50).splitlines()[-1]}", flush=True)
        with ray_cluster(project.root) as cluster:
            for name in NODES:
                cluster.add(name)
            killed, _ = sweep_in_chaos(project, cluster, trials=50, every=60.0)
        print(f"{time.monotonic() - begun:.0f} s; killed: {dict(killed)}")
        rows = pd.read_csv(project.root / f"reports/tune/{STUDY}.csv")
        print(f"in Optuna: {dict(Counter(rows['state']))}")
        print(f"in MLflow: {dict(Counter(run.info.status for run in project.runs('tune')))}")
        finished = rows["state"].isin(["complete", "pruned"]).sum()
        print(f"{finished} finished, {rows['state'].isin(['running', 'waiting']).sum()} open")


if __name__ == "__main__":
    main()
