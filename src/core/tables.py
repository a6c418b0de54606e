"""Tables as CSV files."""

from pathlib import Path

import pandas as pd

from src.core.errors import UserError, first_line
from src.core.files import written_whole

NAMES = ("class", "label", "suggested", "actual", "predicted")  # columns with names of classes


def read_table(path: Path) -> pd.DataFrame:
    """A table that `write_csv` wrote; a class may be called 01 or NA.

    Raises UserError if the file is missing or no table.
    """
    types = dict.fromkeys(NAMES, str)
    try:
        return pd.read_csv(path, dtype=types, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a table ({first_line(error)}); make it again") from error


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write the table, whole or not at all, without its index."""
    with written_whole(path) as partial:
        # Not by the suffix of the temporary name, which would decide it otherwise.
        table.to_csv(partial, index=False, compression=None)
