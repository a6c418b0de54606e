"""A PostgreSQL server of our own, for as long as tests need one."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest


class Server:
    """Its data are in a temporary folder; it can be stopped and started again."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        # Nothing need outlive a crash of the machine, so no write waits for the disk.
        settings = f"-p {self.port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._options = ["-D", f"{folder}/data", "-o", settings, "-l", f"{folder}/log", "-w"]
        self._call("initdb", "-D", f"{folder}/data", "-A", "trust", "-U", "idxflow", "--no-sync")

    def url(self, database: str = "postgres") -> str:
        return f"postgresql+psycopg://idxflow@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        self._call("pg_ctl", *self._options, "start")

    def stop(self) -> None:
        self._call("pg_ctl", *self._options, "-m", "immediate", "stop")

    def create(self, database: str) -> str:
        """Its URL."""
        with psycopg.connect(self.url().replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {database}".encode())
        return self.url(database)

    def _call(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        # The server refuses to run as root.
        user = {"user": "nobody", "group": "nogroup", "extra_groups": ()} if is_root() else {}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self._folder, **user)  # type: ignore[call-overload]


@contextmanager
def served() -> Iterator[Server]:
    """A running server; the test is skipped without PostgreSQL, but not where CI promises it."""
    programs = find_programs()
    if programs is None:
        if os.environ.get("CI") == "true":
            pytest.fail("PostgreSQL: not installed; .ci/run installs it")
        pytest.skip("PostgreSQL is not installed")
    # Not below pytest's folders, which another user may not enter.
    with TemporaryDirectory() as folder:
        if is_root():
            shutil.chown(folder, "nobody", "nogroup")
        server = Server(programs, Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


def is_root() -> bool:
    return os.getuid() == 0


def find_programs() -> Path | None:
    """The folder with initdb: Debian puts it where PATH does not lead."""
    found = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return Path(found).parent if found else debian[-1].parent if debian else None
