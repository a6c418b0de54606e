"""Put the tables that commands make where the pages show them: between `<!-- source -->` markers.

    make docs

Each region of a page names the file or the command that its content comes from.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
REGION = re.compile(r"^<!-- (.+?) -->\n(.*?)^<!-- end -->$", re.MULTILINE | re.DOTALL)
# What a command leaves, which is not in the repository.
MADE_BY = {"python -m src.transfer": ROOT / "reports/transfer/table.md"}


def filled(page: str) -> str:
    """The text of a page with every region as its source has it now, where that is there."""

    def fill(region: re.Match[str]) -> str:
        source, shown = region[1], region[2]
        path = MADE_BY.get(source, ROOT / source.removeprefix("excerpt of "))
        if path.exists():
            made = path.read_text().strip()
            shown = (_excerpt(shown, made) if source.startswith("excerpt of ") else made) + "\n"
        return f"<!-- {source} -->\n{shown}<!-- end -->"

    return REGION.sub(fill, page)


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
