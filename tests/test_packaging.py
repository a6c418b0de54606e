"""What pyproject.toml and its locks promise."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.conftest import ROOT

TEXT = (ROOT / "pyproject.toml").read_text()
PROJECT = tomllib.loads(TEXT)
RUN = PROJECT["project"]["dependencies"]
DEV = PROJECT["dependency-groups"]["dev"]
CLUSTER = PROJECT["dependency-groups"]["cluster"]
LOCKS = ["requirements.lock", "requirements-cluster.lock", "requirements-dev.lock"]
EXCLUDED = PROJECT["tool"]["uv"]["exclude-dependencies"]


def normal(name: str) -> str:
    """A package's name as the locks have it, without extras and versions."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=~!;]", name)[0]).lower()


def locked(lock: str) -> dict[str, set[str]]:
    """Each requirement of a lock (name, version, marker) with its hashes."""
    found: dict[str, set[str]] = {}
    hashes: set[str] = set()
    for line in (ROOT / lock).read_text().splitlines():
        if re.match(r"\w", line):
            hashes = found[line.removesuffix(" \\")] = set()
        elif match := re.match(r" +--hash=(\S+)", line):
            hashes.add(match[1])
    return found


def test_groups_leave_every_version_of_the_product_and_of_each_other_as_it_is() -> None:
    run, *groups = map(locked, LOCKS)
    for group in groups:
        assert {line: group.get(line) for line in run} == run
        own = {line.split("==")[0] for line in group.keys() - run.keys()}
        assert own.isdisjoint(line.split("==")[0] for line in run)
    cluster, dev = groups
    names = {line.split("==")[0] for line in cluster} & {line.split("==")[0] for line in dev}
    assert {line for line in cluster if line.split("==")[0] in names} <= dev.keys()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_hashes(lock: str) -> None:
    assert all(locked(lock).values())


@pytest.mark.parametrize(
    ("lock", "direct"), [*zip(LOCKS, (RUN, RUN + CLUSTER, RUN + DEV), strict=True)]
)
def test_a_lock_has_every_direct_dependency_as_pinned(lock: str, direct: list[str]) -> None:
    pins = {line.split(" ")[0] for line in locked(lock)}
    names = {pin.split("==")[0] for pin in pins}
    for dependency in direct:
        if "==" in dependency:
            assert f"{normal(dependency)}=={dependency.split('==')[1]}" in pins
        else:
            assert normal(dependency) in names


def test_no_lock_has_what_is_excluded() -> None:
    names = {line.split("==")[0] for line in locked("requirements-dev.lock")}
    assert names.isdisjoint(EXCLUDED)


@pytest.mark.parametrize(
    "group", [RUN, CLUSTER, DEV, EXCLUDED], ids=["run", "cluster", "dev", "excluded"]
)
def test_dependencies_are_sorted_and_have_a_reason_each(group: list[str]) -> None:
    assert [normal(name) for name in group] == sorted(normal(name) for name in group)
    for dependency in group:
        assert re.search(rf'^  "{re.escape(dependency)}", +# \w', TEXT, re.MULTILINE), dependency


def test_direct_dependencies_are_pinned_but_for_numpy_and_scipy() -> None:
    ranges = [normal(name) for name in RUN + CLUSTER + DEV if "==" not in name]
    assert ranges == ["numpy", "scipy"]


@pytest.mark.parametrize(
    ("folders", "declared"),
    [(["pipeline", "src"], RUN + CLUSTER), (["benchmarks", "tests"], RUN + CLUSTER + DEV)],
    ids=["the product", "measurements and tests"],
)
def test_code_imports_only_direct_dependencies(folders: list[str], declared: list[str]) -> None:
    # Pydantic pins its core to one version, and passes on its errors.
    names = {*map(normal, declared), "pydantic-core"}
    own = {"benchmarks", "docs", "pipeline", "src", "tests"}
    provided = packages_distributions()
    for script in [path for folder in folders for path in ROOT.glob(f"{folder}/**/*.py")]:
        for node in ast.walk(ast.parse(script.read_text())):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module or ""]
            else:
                continue
            for module in {name.split(".")[0] for name in modules} - own - sys.stdlib_module_names:
                providers = {normal(name) for name in provided.get(module, [module])}
                assert providers & names, f"{script}: {module}"


def test_only_the_engine_for_clusters_imports_what_only_clusters_need() -> None:
    use = re.compile(r"^ *(import|from) ray\b", re.MULTILINE)
    importing = {path for path in ROOT.glob("src/**/*.py") if use.search(path.read_text())}
    assert importing == {ROOT / f"src/execution/{name}.py" for name in ("cluster", "joining")}


def test_a_wheel_has_no_module_in_it(tmp_path: Path) -> None:
    for name in ["pyproject.toml", "README.md", "LICENSE"]:
        shutil.copy(ROOT / name, tmp_path)
    for name in ["pipeline", "src"]:
        shutil.copytree(ROOT / name, tmp_path / name)
    build = "from setuptools.build_meta import build_wheel; build_wheel('dist')"
    (tmp_path / "dist").mkdir()
    subprocess.run([sys.executable, "-c", build], cwd=tmp_path, check=True, capture_output=True)
    [wheel] = tmp_path.glob("dist/*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert all(".dist-info/" in name for name in archive.namelist())
