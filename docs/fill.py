"""Put what commands and code say where the pages show it: between `<!-- source -->` markers.

    make docs

Each region of a page names the file, the command or the code that its content comes from.
"""

import re
from pathlib import Path

from docs import scaled
from docs.commands import commands, targets
from docs.measured import measured
from docs.parameters import parameters

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
REGION = re.compile(r"^<!-- (.+?) -->\n(.*?)^<!-- end -->$", re.MULTILINE | re.DOTALL)
# What a command leaves, which is not in the repository.
MADE_BY = {
    "python -m src.transfer": ROOT / "reports/transfer/table.md",
    "python -m src.compress": ROOT / "reports/compress/table.md",
}

IN_CODE = {
    "src/config": parameters,
    "src": commands,
    "Makefile": targets,
    "benchmarks/results.json": measured,
    "throughput in benchmarks/scale.json": scaled.throughput,
    "parts in benchmarks/scale.json": scaled.parts,
    "tracking in benchmarks/scale.json": scaled.tracking,
    "sweep in benchmarks/scale.json": scaled.sweep,
}


def filled(page: str) -> str:
    """The text of a page with every region as its source has it now, where that is there."""

    def fill(region: re.Match[str]) -> str:
        source, shown = region[1], region[2]
        if made := _made(source.removeprefix("excerpt of ")):
            shown = (_excerpt(shown, made) if source.startswith("excerpt of ") else made) + "\n"
        return f"<!-- {source} -->\n{shown}<!-- end -->"

    return REGION.sub(fill, page)


def _made(source: str) -> str:
    """What a source has now; nothing if its file is not there."""
    if source in IN_CODE:
        return IN_CODE[source]()
    path = MADE_BY.get(source, ROOT / source)
    return path.read_text().strip() if path.exists() else ""


def _excerpt(shown: str, made: str) -> str:
    """Of the first table that is made, the header and the rows whose names are shown."""
    table = re.findall(r"(?:^\|.*\n)+", f"{made}\n", re.MULTILINE)[0].splitlines()
    names = [_name(row) for row in shown.splitlines()[2:]]
    return "\n".join([*table[:2], *(row for row in table[2:] if _name(row) in names)])


def _name(row: str) -> str:
    return row.split("|")[1].strip()


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(filled(path.read_text()))
