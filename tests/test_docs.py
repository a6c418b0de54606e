"""The pages say what is so: files, modules, parameters, links and figures that they name exist."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.fill import filled
from src.config.parsing import read
from src.config.values import value_at
from src.data.checks import parse_params
from tests.conftest import ROOT

README, MAP, REFERENCE = ROOT / "README.md", ROOT / "docs/map.md", ROOT / "docs/reference.md"
PAGES = [
    README,
    *sorted(ROOT.glob("docs/*.md")),
    ROOT / "benchmarks/README.md",
    ROOT / "recipes/README.md",
]
# What the pipeline makes is not in the repository.
OUTPUTS = {"reports", "data", "models", "mlflow.db", "mlartifacts"}

FENCE = re.compile(r"^```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"(`+)(.+?)\1", re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")

of_each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page: Path) -> list[str]:
    """What is between fences: commands, output, trees."""
    return FENCE.findall(page.read_text())


def spans(page: Path) -> list[str]:
    """What is in backticks, in the text outside fences."""
    return [span for _, span in SPAN.findall(FENCE.sub("", page.read_text()))]


def words(page: Path) -> Iterator[str]:
    """The words of everything written as code, without punctuation around them."""
    for code in [*blocks(page), *spans(page)]:
        yield from (word.strip(",;:()") for word in code.split())


def exists(path: str) -> bool:
    """Whether the repository has it; `*` is a pattern."""
    return any(ROOT.glob(path))


def files_named(page: Path) -> Iterator[str]:
    """Paths and file names written as code, without what the pipeline makes."""
    for word in words(page):
        path = word.split(":")[0]  # `recipes/dvc.yaml:recipe@daily`
        nested = re.fullmatch(r"[\w.*-]+(/[\w.*-]+)*/?", path) and "/" in path
        if nested and path.split("/")[0] not in OUTPUTS and "NAME" not in path:
            yield path
    for span in spans(page):
        if re.fullmatch(r"[\w-]+\.(lock|md|py|toml|yaml)|\.[a-z]+", span):
            yield span


def test_code_is_found() -> None:
    """The tests below would pass on pages whose code they do not see."""
    named = {name for page in PAGES for name in files_named(page)}
    assert {"src/models/cnn.py", "recipes/dvc.yaml", ".dvcignore", "dvc.yaml"} <= named


@of_each_page
def test_files_exist(page: Path) -> None:
    assert [path for path in files_named(page) if not exists(path)] == []


@of_each_page
def test_modules_exist(page: Path) -> None:
    commands = re.findall(r"python -m ((?:src|pipeline|benchmarks)[\w.]*)", page.read_text())
    mentions = [s for s in spans(page) if re.fullmatch(r"(src|pipeline|benchmarks)(\.\w+)+", s)]
    for module in [*commands, *mentions]:
        path = module.replace(".", "/")
        assert exists(f"{path}.py") or exists(f"{path}/__main__.py"), module


@of_each_page
def test_parameters_exist(page: Path) -> None:
    # As validated: a key that may be left out of the file is there, too.
    tree = parse_params(read(ROOT / "params.yaml")).model_dump()
    for word in words(page):
        match = re.fullmatch(r"(\w+(?:\.\w+)+)(?:\[\d+\])?(?:=\S+)?", word)
        if match and match[1].split(".")[0] in tree and not match[1].endswith(".py"):
            try:
                value_at(tree, match[1])
            except KeyError:
                pytest.fail(f"{match[1]} is not in params.yaml")


@of_each_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if "://" in link:
            continue
        target, _, anchor = link.partition("#")
        there = page.parent / target if target else page
        assert there.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", there.read_text(), re.MULTILINE)
            # As GitHub makes them: without punctuation.
            anchors = {
                re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings
            }
            assert anchor in anchors, link


def test_readme_is_short_and_links_every_page() -> None:
    assert len(README.read_text().splitlines()) <= 150
    linked = {(ROOT / link).resolve() for link in LINK.findall(README.read_text())}
    assert [page.name for page in PAGES[1:-1] if page.resolve() not in linked] == []


def without_values(page: str) -> str:
    """Without what params.yaml has now: an experiment changes it, and makes no page wrong."""
    return re.sub(r"^(\| `[\w.]+` \| [^|]+ \|) [^|]* \|", r"\1", page, flags=re.MULTILINE)


@of_each_page
def test_tables_are_as_their_source_has_them(page: Path) -> None:
    text = page.read_text()
    assert without_values(filled(text)) == without_values(text), "`make docs` updates them"


@pytest.mark.parametrize(
    ("page", "shown"),
    [
        ("README.md", "68.1 ± 8.2"),
        ("docs/recipes.md", "98.68%"),
        ("docs/reference.md", "whole number from 1 to 1024"),
        ("docs/reference.md", "side and stride of the pool"),
        ("docs/reference.md", "`--trials N`"),
        ("docs/reference.md", "`make clean`"),
    ],
)
def test_a_changed_table_would_be_seen(page: str, shown: str) -> None:
    text = (ROOT / page).read_text()
    changed = text.replace(shown, shown[::-1])
    assert changed != text
    assert filled(changed) == text


def test_the_reference_has_every_environment_variable_and_no_other() -> None:
    shown = {*re.findall(r"^\| `([A-Z_]+)` \|", REFERENCE.read_text(), re.MULTILINE)}
    make = (ROOT / "Makefile").read_text()
    code = "".join(path.read_text() for path in ROOT.glob("src/**/*.py"))
    read = re.findall(r"""environ\.get\("(\w+)"|environ\["(\w+)"\](?! =)""", code)
    read += re.findall(r"^(?:export )?(\w+) *()\?=", make, re.MULTILINE)
    made = {*re.findall(r"^(\w+) *:=", make, re.MULTILINE), "CURDIR"}
    read += [(name, "") for name in re.findall(r"\$\(([A-Z]+)\)", make) if name not in made]
    ours = {*filter(None, (name for pair in read for name in pair))}
    assert shown == {name for name in ours if not name.startswith("DVC_")} - {"PATH", "PYTHONPATH"}


def test_map_lists_every_module_once() -> None:
    [tree] = blocks(MAP)
    listed: Counter[str] = Counter()
    folder = ""
    for line in tree.splitlines():
        if match := re.fullmatch(r"  (\S+) {2,}\S.*", line):
            listed[folder + match[1]] += 1
        else:
            assert re.fullmatch(r"\S+/", line), f"neither a folder nor a file with its line: {line}"
            folder = line
    modules = {
        str(path.relative_to(ROOT))
        for pattern in ("pipeline/*.py", "src/**/*.py")
        for path in ROOT.glob(pattern)
        if path.name != "__init__.py"
    }
    missing, superfluous = sorted(modules - {*listed}), sorted({*listed} - modules)
    wrong = [
        *(f"add {path}" for path in missing),
        *(f"remove {path}" for path in superfluous),
    ]
    assert not wrong, f"docs/map.md: {', '.join(wrong)}"
    twice = [path for path, lines in listed.items() if lines > 1]
    assert not twice, f"more than once in docs/map.md: {', '.join(twice)}"
