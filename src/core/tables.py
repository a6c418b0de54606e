"""Tables as CSV files."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from src.core.errors import UserError, first_line
from src.core.files import written_whole

NAMES = ("class", "label", "suggested", "actual", "predicted")  # columns with names of classes


def read_table(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """A table that `write_csv` wrote; a class may be called 01 or NA.

    Raises UserError if the file is missing, no table, or lacks one of these columns.
    """
    types = dict.fromkeys(NAMES, str)
    try:
        table = pd.read_csv(path, dtype=types, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: not a table ({first_line(error)}); run what makes it again"
        ) from error
    if missing := {*columns} - {*table.columns}:
        raise UserError(f"{path}: has no column {min(missing)}; run what makes it again")
    return table


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write the table, whole or not at all, without its index."""
    with written_whole(path) as partial:
        # Not by the suffix of the temporary name, which would decide it otherwise.
        table.to_csv(partial, index=False, compression=None)
