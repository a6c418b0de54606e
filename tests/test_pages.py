"""The pages, looked at in a browser: the report on odd classes, and MLflow's own."""

import json
import re
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.browser import Visitor, serious, visitor
from tests.clones import STAGES, Clone, clone
from tests.custom import write_custom

ODD = ["$x_1$", "<b>", "&amp;", "停车", "x" * 40, '"quoted"', "`code`", "<script>alert(1)</script>"]
NAMES = [*ODD, *(f"class {number}" for number in range(len(ODD), 62))]


@pytest.fixture(scope="module")
def page() -> Iterator[Visitor]:
    with visitor() as opened:
        yield opened


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


def test_a_click_sorts_a_table(page: Visitor, odd: Clone) -> None:
    page.open((odd.root / "reports/index.html").as_uri(), 1440)
    table = page.page.locator("table", has_text="most frequent confusions")
    table.locator("th button", has_text="times").click()
    times = [int(text) for text in table.locator("td:last-child").all_inner_texts()]
    assert times == sorted(times)
    assert table.locator("th[aria-sort=ascending]").count() == 1
    table.locator("th button", has_text="times").click()
    assert table.locator("td:last-child").all_inner_texts() == [str(each) for each in times[::-1]]
    assert page.errors == []


@pytest.fixture(scope="module")
def mlflow(odd: Clone) -> Iterator[str]:
    """The address of MLflow's pages, as `make ui` starts them; of two finished pipelines."""
    params = odd.root / "params.yaml"
    params.write_text(params.read_text().replace("mistakes: 24", "mistakes: 12"))
    odd.here("pipeline.evaluate")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = odd.start("python", "-m", "src.ui", str(port))
    address = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(120):
            try:
                urlopen(address)  # noqa: S310 (our own)
                break
            except URLError:
                time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait()


def test_mlflow_opens_on_the_columns_that_matter(page: Visitor, odd: Clone, mlflow: str) -> None:
    page.open(
        mlflow + "#/experiments/1/runs?workflowType=machine_learning&viewStateShareKey=idxflow",
        1440,
    )
    grid = page.page.locator(".ag-root")
    grid.get_by_text("base_source_accuracy").wait_for()
    shown = grid.inner_text()
    for heading in ("base_source_accuracy", "finetuned_source_accuracy"):
        assert heading in shown
    assert shown.count("evaluate") == 2
    assert "train" not in shown.replace("training", "")
