"""Tables as CSV files."""

from pathlib import Path

import pandas as pd

from src.core.files import written_whole


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write the table, whole or not at all, without its index."""
    with written_whole(path) as partial:
        # Not by the suffix of the temporary name, which would decide it otherwise.
        table.to_csv(partial, index=False, compression=None)
