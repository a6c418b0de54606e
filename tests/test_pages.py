"""The pages, looked at in a browser: the report on odd classes, and MLflow's own."""

import json
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from src.pages.cells import numbers, texts
from src.pages.page import Page, Section, Table, write_page
from src.tracking.views import address
from tests.browser import Visitor
from tests.clones import STAGES, Clone, clone
from tests.custom import ODD, write_custom
from tests.servers import served

NAMES = [*ODD, *(f"class {number}" for number in range(len(ODD), 62))]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, tracking_database: Path) -> Clone:
    """The pipeline on 62 classes with odd names, from grey to colour."""
    made = clone(tmp_path_factory.mktemp("odd"))
    shutil.copy(tracking_database, made.root)
    write_custom(made.root / "data/many", classes=62, size=16, each=8, channels=3, names=NAMES)
    params = made.root / "params.yaml"
    text = params.read_text().replace("mnist-5k", "folder:data/many")
    text = text.replace("target: optdigits", "target: folder:data/many")
    params.write_text(text.replace("labels_per_class: 5", "labels_per_class: 1"))
    made.commit()
    for stage in STAGES:
        made.here(f"pipeline.{stage}")
    return made


def test_the_report_can_be_read_by_everybody(page: Visitor, odd: Clone) -> None:
    page.look(odd.root / "reports/index.html")
    texts = page.page.locator("body").inner_text()
    for name in NAMES:
        assert name in texts
    drawn = "".join(page.page.locator("svg text").all_text_contents())
    assert "停车" in drawn
    assert "$x_1$" in drawn
    colours = page.page.locator("svg image").count()
    assert colours > 5


def test_the_report_holds_no_path_time_or_run(odd: Clone) -> None:
    text = (odd.root / "reports/index.html").read_text()
    assert str(odd.root) not in text
    for run in odd.runs():
        assert run.info.run_id not in text
    assert not re.search(r"20\d\d-\d\d-\d\d", text)


@pytest.fixture
def table(tmp_path: Path) -> str:
    """The address of a page with a table of texts, numbers and blanks."""
    columns = {
        "labels": texts(["10", "1", "all", "5"]),
        "loss": numbers([0.5, math.nan, 0.125, 10.0]),
    }
    path = tmp_path / "index.html"
    write_page(Page("A table", [], [Section("One", tables=[Table("rows", columns)])]), path)
    return path.as_uri()


@pytest.mark.parametrize(
    ("heading", "column", "up"),
    [
        ("labels", 0, ["1", "5", "10", "all"]),
        ("loss", 1, ["0.1250", "0.5000", "10.0000", ""]),
    ],
)
def test_a_click_sorts_a_table_and_blanks_come_last(
    page: Visitor, table: str, heading: str, column: int, up: list[str]
) -> None:
    page.open(table, 1440)
    button = page.page.locator("th button", has_text=heading)
    cells = page.page.locator(f"td:nth-child({column + 1})")
    button.click()
    assert cells.all_inner_texts() == up
    assert page.page.locator("th[aria-sort=ascending]").inner_text().startswith(heading)
    button.click()
    filled = [text for text in up if text]
    assert cells.all_inner_texts() == filled[::-1] + [""] * (len(up) - len(filled))
    assert page.errors == []


@pytest.fixture(scope="module")
def mlflow(odd: Clone) -> Iterator[str]:
    """The address of MLflow's pages, as `make ui` starts them; of two finished pipelines."""
    params = odd.root / "params.yaml"
    params.write_text(params.read_text().replace("mistakes: 8", "mistakes: 9"))
    odd.here("pipeline.evaluate")
    with served(odd, "src.ui") as opened:
        yield opened.address


def test_a_taken_port_is_refused_in_one_line(odd: Clone, mlflow: str) -> None:
    port = mlflow.rstrip("/").rpartition(":")[2]
    printed = odd.here("src.ui", port, fails=True)
    assert printed.startswith(f"error: port {port} cannot be used (")
    assert printed.count("\n") == 1


def test_mlflow_opens_on_the_columns_that_matter(page: Visitor, odd: Clone, mlflow: str) -> None:
    page.open(mlflow + address("1"), 1440)
    row = page.page.get_by_role("gridcell", name="folder:data/many test")
    row.first.wait_for()
    shown = page.page.locator(".ag-root").inner_text()
    assert "evaluate evaluate.mistakes=9" in shown
    assert "base_source_accuracy" in shown
    assert "preprocess" not in shown
    assert page.page.get_by_text("Model training").first.is_visible()
    runs = [run for run in odd.runs() if run.data.tags["dvc.stage"] == "evaluate"]
    names = ("evaluate", "evaluate evaluate.mistakes=9")
    assert tuple(str(run.info.run_name) for run in runs) == names


def test_mlflow_compares_two_pipelines_by_an_accuracy(
    page: Visitor, odd: Clone, mlflow: str
) -> None:
    ids = [run.info.run_id for run in odd.runs() if run.data.tags["dvc.stage"] == "evaluate"]
    runs, experiments = quote(json.dumps(ids)), quote('["1"]')
    page.open(f"{mlflow}#/compare-runs?runs={runs}&experiments={experiments}", 1440)
    page.page.get_by_text("base_source_accuracy", exact=True).first.wait_for()
    assert not page.page.get_by_text("base_source_n", exact=True).count()
    assert "evaluate evaluate.mistakes=9" in page.page.locator("body").inner_text()
    assert page.asked == []
    # MLflow's own: it asks its server for a user, of which there is none, and fits its chart late.
    own = ("404", "ResizeObserver")
    assert [error for error in page.errors if not any(each in error for each in own)] == []


def test_a_run_says_what_it_is(page: Visitor, odd: Clone, mlflow: str) -> None:
    run = odd.runs()[-1]
    page.open(f"{mlflow}#/experiments/1/runs/{run.info.run_id}", 1440)
    page.page.get_by_text("Changed since the last commit:").wait_for()
    page.page.get_by_text("Show more").click()
    link = page.page.get_by_role("link", name="The page").get_attribute("href")
    page.open(mlflow + str(link), 1440)
    frame = page.page.frame_locator("iframe")
    frame.get_by_role("heading", name="folder:data/many → folder:data/many").wait_for()
