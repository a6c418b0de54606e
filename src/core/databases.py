"""Databases that a URL names: whether they answer, whose they are, and where they lie."""

from pathlib import Path
from typing import Any

import psutil
import sqlalchemy
from sqlalchemy.engine import make_url

from src.core.errors import UserError

# Seconds until a server that does not answer counts as absent, and until a file does that another
# process has locked.
TIMEOUTS: dict[str, dict[str, Any]] = {
    "postgresql": {"connect_timeout": 10},
    "mysql": {"connect_timeout": 10},
    "sqlite": {"timeout": 60},
}
# File systems on which machines share files, without the locks that sqlite needs.
# Not all of FUSE: containers without root have fuse.fuse-overlayfs as their own disk.
NETWORK = (
    *("nfs", "cifs", "smb", "9p", "ceph", "lustre", "gpfs", "beegfs", "afs", "glusterfs"),
    *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.rclone", "fuse.s3fs", "fuse.juicefs"),
)


def patience(url: str) -> dict[str, Any]:
    """The driver's arguments by which it waits neither too long nor too short."""
    return TIMEOUTS.get(make_url(url).get_backend_name(), {})


def check_owner(url: str, table: str, owner: str, *, is_first: bool = False) -> None:
    """Raise UserError if the database is another program's: it lacks this `table` of `owner`'s.

    is_first: `owner` creates `table` before its others, so that any other is a stranger's.
    The driver's own error if the database does not answer. Nothing is written.
    """
    engine = sqlalchemy.create_engine(url, connect_args=patience(url))
    try:
        tables = sqlalchemy.inspect(engine).get_table_names()
    finally:
        engine.dispose()
    # Both MLflow and Optuna keep their version there, so there is room for one.
    strangers = bool(tables) if is_first else "alembic_version" in tables
    if strangers and table not in tables:
        raise UserError(f"has the tables of another program; {owner} needs a database of its own")


def check_is_on_one_machine(url: str) -> None:
    """Raise UserError if it is a sqlite file that machines share."""
    address = make_url(url)
    if address.get_backend_name() != "sqlite" or not address.database:
        return
    file = Path(address.database).resolve()
    mounts = {Path(each.mountpoint): each.fstype for each in psutil.disk_partitions(all=True)}
    kind = next((mounts[folder] for folder in file.parents if folder in mounts), "")
    if kind.startswith(NETWORK):
        raise UserError(
            f"lies on a network file system ({kind}), where machines that share it can damage it; "
            "use PostgreSQL, or a local file"
        )
