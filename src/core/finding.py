"""What an analysis returns, and the one way in which it reaches files, MLflow and the terminal."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pandas as pd
from matplotlib.figure import Figure

from src.core.errors import warn
from src.core.files import write_bytes, write_text
from src.core.plots import save_figure
from src.core.tables import write_csv
from src.core.terminal import wrapped

SUMMARY = "summary.txt"  # what was printed


@dataclass(frozen=True)
class Finding:
    """Everything to keep of one analysis; tables, figures, documents and files by name."""

    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    text: str = ""
    documents: Mapping[str, str] = field(default_factory=dict)  # in Markdown
    files: Mapping[str, bytes] = field(default_factory=dict)  # of any other kind
    warnings: Sequence[str] = ()  # what the person may not have meant


class Record(Protocol):
    """Where metrics and files are kept: a run in MLflow."""

    def metrics(self, values: Mapping[str, float]) -> None: ...

    def file(self, path: Path) -> None: ...

    def note(self, text: str) -> None: ...


def publish(findings: Iterable[Finding], folder: Path, record: Record) -> None:
    """Print texts, write them, tables and figures into `folder`, log it and metrics to `record`."""
    printed = ""
    for finding in findings:
        if finding.text:
            print(wrapped(finding.text))
            printed += f"{finding.text}\n"
        for warning in finding.warnings:
            warn(warning)
        for name, table in finding.tables.items():
            write_csv(table, folder / name)
        for name, figure in finding.figures.items():
            save_figure(figure, folder / name)
        for name, document in finding.documents.items():
            write_text(document, folder / name)
            record.note(document)
        for name, content in finding.files.items():
            write_bytes(content, folder / name)
        record.metrics(finding.metrics)
    if printed:
        write_text(printed, folder / SUMMARY)
        record.note(f"```\n{printed}```")
    record.file(folder)
    print(f"written to {folder}")
