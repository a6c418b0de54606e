"""Studies in real files: truncated, damaged and locked."""

import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import psutil
import pytest
from filelock import FileLock

from src.core.errors import UserError
from src.tune.storage import begin_study, check_unchanged, load_study, open_storage

IDENTITY: dict[str, dict[str, Any]] = {
    "params": {"seed": 0, "train.epochs": 2, "model.hidden": [16]},
    "files": {"src/a.py": "1"},
}


def opened(folder: Path, url: str | None = None) -> optuna.storages.BaseStorage:
    return open_storage(url, folder / "optuna.log", FileLock(folder / "optuna.lock"))


def created(
    folder: Path, identity: dict[str, Any] = IDENTITY, seed: int | None = None
) -> optuna.Study:
    lock = FileLock(folder / "optuna.lock")
    return begin_study(opened(folder), "study", seed, identity, lock)


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """The journal of a study with three finished trials."""
    study = created(tmp_path)
    for value in (1.0, 2.0, 3.0):
        study.add_trial(optuna.create_trial(value=value))
    return tmp_path / "optuna.log"


def values(journal: Path) -> list[float | None]:
    return [trial.value for trial in load_study(opened(journal.parent), "study").trials]


def test_an_incomplete_last_line_is_removed_and_the_rest_is_kept(three: Path) -> None:
    with three.open("ab") as journal:
        journal.write(b'{"op_code":4,"worker_id":"x","stu')
    assert values(three) == [1.0, 2.0, 3.0]
    created(three.parent).add_trial(optuna.create_trial(value=4.0))
    assert values(three) == [1.0, 2.0, 3.0, 4.0]


def test_a_line_cut_off_by_another_process_does_no_harm_to_an_open_study(three: Path) -> None:
    study = created(three.parent)
    with three.open("ab") as journal:
        journal.write(b'{"op_code":4,"work')
    study.add_trial(optuna.create_trial(value=4.0))
    assert values(three) == [1.0, 2.0, 3.0, 4.0]


def test_a_last_line_without_its_newline_is_kept(three: Path) -> None:
    content = three.read_bytes()
    assert content.endswith(b"\n")
    three.write_bytes(content[:-1])
    assert values(three) == [1.0, 2.0, 3.0]


def test_a_file_truncated_anywhere_keeps_the_trials_before_that(three: Path) -> None:
    content = three.read_bytes()
    ends = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]
    for size in range(ends[-3], len(content), 7):
        three.write_bytes(content[:size])
        found = values(three)
        assert found == [1.0, 2.0, 3.0][: len(found)]
        assert len(found) >= sum(size >= end - 1 for end in ends[-3:])


def test_zeros_at_the_end_as_after_a_power_cut_are_removed(three: Path) -> None:
    with three.open("ab") as journal:
        journal.write(b"\0" * 512)
    assert values(three) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("garbage", [b"garbage\n", b"null\n", b"[]\n", b"\xff\xfe\n", b"\n"])
def test_damage_before_the_end_is_reported_with_a_repair_command(
    three: Path, garbage: bytes
) -> None:
    lines = three.read_bytes().splitlines(keepends=True)
    three.write_bytes(b"".join([*lines[:-1], garbage, lines[-1]]))
    with pytest.raises(UserError, match=rf"line {len(lines)} is damaged; .*sed -i '{len(lines)},"):
        opened(three.parent)


def test_the_repair_command_works(three: Path) -> None:
    lines = three.read_bytes().splitlines(keepends=True)
    three.write_bytes(b"".join([*lines[:-1], b"garbage\n", lines[-1]]))
    with pytest.raises(UserError) as caught:
        opened(three.parent)
    command = str(caught.value).partition("before it: ")[2]
    subprocess.run(command, shell=True, cwd=three.parent, check=True)  # noqa: S602
    assert values(three) == [1.0, 2.0]
    assert (three.parent / "optuna.log.damaged").exists()


def test_stale_lock_files_are_ignored(three: Path) -> None:
    Path(f"{three}.lock").symlink_to(three)  # Optuna's own, of a killed process
    (three.parent / "optuna.log.flock").touch()
    (three.parent / "optuna.lock").touch()
    content = three.read_bytes()
    started = time.monotonic()
    assert values(three) == [1.0, 2.0, 3.0]
    created(three.parent).add_trial(optuna.create_trial(value=4.0))
    assert time.monotonic() - started < 20
    assert three.read_bytes().startswith(content)


def test_a_damaged_database_is_reported_in_one_line(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    study = optuna.create_study(storage=url)
    study.add_trial(optuna.create_trial(value=1.0))
    file = tmp_path / "studies.db"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(UserError, match=r"--storage sqlite.*malformed") as caught:
        load_study(opened(tmp_path, url), study.study_name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "--storage nonsense: "),
        ("postgresql://nobody@127.0.0.1:1/none", "--storage postgresql.*127.0.0.1"),
        ("oracle://x/y", "--storage oracle"),
    ],
)
def test_an_invalid_storage_is_reported_in_one_line(tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        opened(tmp_path, url)
    assert "\n" not in str(caught.value)


def test_mlflows_database_is_refused_before_anything_is_written(
    tmp_path: Path, tracking_database: Path
) -> None:
    database = Path(shutil.copy(tracking_database, tmp_path))
    before = database.read_bytes()
    with pytest.raises(
        UserError, match=r"^--storage sqlite.*mlflow\.db: has the tables of another"
    ):
        opened(tmp_path, f"sqlite:///{database}")
    assert database.read_bytes() == before


def test_a_database_with_tables_of_any_other_program_is_refused_unchanged(tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE customers (name TEXT)")
    before = file.read_bytes()
    with pytest.raises(UserError, match=r"^--storage sqlite.*shop\.db: has the tables of another"):
        opened(tmp_path, f"sqlite:///{file}")
    assert file.read_bytes() == before


def test_the_disk_of_a_container_without_root_is_no_network_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = psutil.disk_partitions(all=True)[0]._replace(
        mountpoint=str(tmp_path), fstype="fuse.fuse-overlayfs"
    )
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: [mount])
    opened(tmp_path, f"sqlite:///{tmp_path / 'studies.db'}")


def test_a_file_that_machines_share_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = psutil.disk_partitions()[0]._replace(mountpoint=str(tmp_path), fstype="nfs4")
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: [mount])
    with pytest.raises(UserError, match=r"--storage sqlite.*network file system \(nfs4\)"):
        opened(tmp_path, f"sqlite:///{tmp_path / 'studies.db'}")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:hunter2@127.0.0.1:1/none",
        "postgresql://me@127.0.0.1:1/none?password=hunter2",
        "nosuch://me:hunter2@127.0.0.1:1/none",
    ],
)
def test_a_password_is_not_shown(tmp_path: Path, url: str) -> None:
    with pytest.raises(UserError) as caught:
        opened(tmp_path, url)
    assert "hunter2" not in str(caught.value)


def test_a_study_keeps_its_seed(tmp_path: Path) -> None:
    first = created(tmp_path, seed=3)
    again = created(tmp_path)
    assert first.user_attrs == again.user_attrs
    assert again.user_attrs["begun"]["seed"] == 3
    assert created(tmp_path, seed=3).user_attrs == first.user_attrs


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"params": {**IDENTITY["params"], "train.epochs": 3}}, r"train\.epochs .* from 2 to 3 si"),
        ({"params": {"seed": 0, "train.epochs": 3}}, r"model\.hidden has changed.*\(and 1 more\)"),
        ({"files": {"src/a.py": "2"}}, r"src/a\.py has changed since"),
        ({"files": {"src/a.py": "1", "src/b.py": "1"}}, r"src/b\.py has changed since"),
    ],
)
def test_a_study_refuses_another_identity(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    created(tmp_path)
    with pytest.raises(UserError, match=rf"study study: {message}.*--study NAME"):
        created(tmp_path, {**IDENTITY, **changed})


def test_only_the_given_parts_are_compared(tmp_path: Path) -> None:
    check_unchanged(created(tmp_path), {"params": IDENTITY["params"]})


def test_another_seed_is_refused(tmp_path: Path) -> None:
    created(tmp_path)
    with pytest.raises(UserError, match=r"--seed: study study has seed 0, not 5"):
        created(tmp_path, seed=5)


def test_an_unknown_study_is_reported_with_the_existing_ones(three: Path) -> None:
    with pytest.raises(UserError, match=r"study other: not found \(existing studies: study\)"):
        load_study(opened(three.parent), "other")


def test_a_study_of_another_program_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    study = optuna.create_study(storage=opened(tmp_path), study_name="study")
    study.add_trial(optuna.create_trial(value=1.0))
    with pytest.raises(UserError, match="not created by idxflow"):
        created(tmp_path)


def test_a_study_whose_creator_was_killed_is_initialized_by_the_next_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    optuna.create_study(storage=opened(tmp_path), study_name="study")
    assert created(tmp_path, seed=3).user_attrs["begun"]["seed"] == 3
