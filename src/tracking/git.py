"""What git says, asked by its command."""

import getpass
import os
import subprocess

# Set within git's hooks, where they would lead to another repository.
HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY")


def git(*arguments: str) -> str:
    """What git prints, whoever owns the checkout, and whatever the person's settings hide."""
    return git_bytes(*arguments).decode().strip()


def git_bytes(*arguments: str) -> bytes:
    """The same, as it is; CalledProcessError if git fails, OSError if there is none."""
    # Git refuses somebody else's repository because its settings can run commands; but what asks
    # here is code of that repository.
    settings = ["-c", "safe.directory=*", "-c", "core.excludesFile=", "-c", "core.quotePath=off"]
    done = subprocess.run(
        ["git", *settings, *arguments],
        check=True,
        capture_output=True,
        env={name: value for name, value in os.environ.items() if name not in HOOKS},
    )
    return done.stdout


def person() -> str:
    """Who works here, as git knows them by name and e-mail, else as the machine does."""
    try:
        return f"{git('config', 'user.name')} <{git('config', 'user.email')}>"
    except (OSError, subprocess.CalledProcessError):
        pass
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return f"user {os.getuid()}"
