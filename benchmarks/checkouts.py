"""Copies of this checkout, or of an earlier one of the project, to measure in."""

import shutil
import subprocess
import sys
from pathlib import Path

from src.core import paths
from tests.clones import Clone

CLONE = "import sys, pathlib; from tests.clones import clone; clone(pathlib.Path(sys.argv[1]))"


def copied(checkout: Path, folder: Path) -> Clone:
    """A copy of the checkout in a new folder, with its own parameters and without results."""
    folder.mkdir()
    subprocess.run([sys.executable, "-c", CLONE, str(folder)], cwd=checkout, check=True)
    shutil.copy(checkout / paths.PARAMS, folder)
    return Clone(folder)
