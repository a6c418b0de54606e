"""A page for people: one HTML file that holds all it shows, and opens offline."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from src.core.errors import UserError
from src.core.files import write_text
from src.pages.cells import Cell

TEMPLATE = Path(__file__).with_name("page.html")
MOST_ROWS = 200  # of a table; the file that it is from has all


@dataclass(frozen=True)
class Table:
    """Columns of equal length, by heading. closed: shown once it is asked for."""

    title: str
    columns: Mapping[str, Sequence[Cell]]
    closed: bool = False

    @property
    def rows(self) -> list[tuple[Cell, ...]]:
        return [*zip(*self.columns.values(), strict=True)][:MOST_ROWS]

    @property
    def left_out(self) -> int:
        return max(0, len(next(iter(self.columns.values()))) - MOST_ROWS)


@dataclass(frozen=True)
class Section:
    """What belongs under one heading; pictures: SVG files, of which missing ones are left out."""

    title: str
    words: Sequence[str] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Path] = ()


@dataclass(frozen=True)
class Page:
    title: str
    lead: Sequence[str]  # what it says, in a few sentences
    sections: Sequence[Section]


def write_page(page: Page, path: Path) -> None:
    """Write the page, whole or not at all; equal pages give equal bytes."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["inline"] = inline
    shown = [section for section in page.sections if _has_content(section)]
    text = environment.get_template(TEMPLATE.name).render(page=page, sections=shown)
    write_text(text, path)


def _has_content(section: Section) -> bool:
    return bool(section.words or section.tables or any(map(Path.exists, section.pictures)))


def inline(path: Path) -> Markup:
    """A picture that `save_figure` wrote, as part of a page; nothing without the file.

    Its title becomes its description, and the page decides how large it is shown.
    """
    if not path.exists():
        return Markup()
    svg = path.read_text("utf-8")
    whole = re.search(
        r'<svg [^>]*(viewBox="0 0 ([0-9.]+) [0-9.]+")[^>]*>\s*<title>(.*?)</title>(.*)',
        svg,
        re.DOTALL,
    )
    if not whole:
        raise UserError(f"{path}: not a picture of this version; run what draws it again")
    box, width, title, body = whole.groups()
    # Names of groups would occur twice in a page, and a style in a picture would be the page's.
    body = re.sub(
        r'<metadata>.*?</metadata>|<style.*?</style>|(?<=<g) id="[^"]*"', "", body, flags=re.DOTALL
    )
    head = f'role="img" aria-label="{escape(unescape(title))}" {box} style="--width: {width}"'
    return Markup(f"<svg {head}>{body}")  # noqa: S704 (Matplotlib has escaped the texts)
