"""Copies of this checkout, or of an earlier version of the project, to measure in."""

import shutil
import subprocess
import sys
from pathlib import Path

from src.core import paths
from tests.clones import Clone
from tests.conftest import ROOT

CLONE = "import sys, pathlib; from tests.clones import clone; clone(pathlib.Path(sys.argv[1]))"


def check_out(commit: str, folder: Path) -> Path:
    """The project as it was at a commit, in a new folder."""
    git = ("git", "-c", "advice.detachedHead=false")
    subprocess.run([*git, "clone", "--quiet", "--no-checkout", str(ROOT), str(folder)], check=True)
    subprocess.run([*git, "checkout", "--quiet", commit], cwd=folder, check=True)
    return folder


def copy(checkout: Path, folder: Path) -> Clone:
    """A copy of the checkout in a new folder, with its own parameters and without results."""
    folder.mkdir()
    subprocess.run([sys.executable, "-c", CLONE, str(folder)], cwd=checkout, check=True)
    shutil.copy(checkout / paths.PARAMS, folder)
    return Clone(folder)
