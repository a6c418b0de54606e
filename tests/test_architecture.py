"""The structure that README.md and dvc.yaml promise, held by walking the imports."""

import ast
import fnmatch
import importlib
import re
from collections import Counter
from pathlib import Path

import pytest
from pathspec import GitIgnoreSpec
from ruamel.yaml import YAML

from src.core import paths
from tests.conftest import ROOT

STAGES = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
RECIPES = YAML(typ="safe", pure=True).load(ROOT / "recipes/dvc.yaml")["stages"]
PLUMBING = GitIgnoreSpec.from_lines((ROOT / ".dvcignore").read_text().splitlines())
MODULES = sorted(path.relative_to(ROOT) for path in ROOT.glob("src/**/*.py"))
COMMANDS = [path for path in MODULES if '__name__ == "__main__"' in (ROOT / path).read_text()]
STUDIES = {"tune", "crossval", "transfer", "recipes", "compress", "compare", "register", "demo"}
# From the ground up: a package imports from itself and from lower floors.
FLOORS = [
    {"core"},
    {"config"},
    {"data"},
    {"models"},
    {"training"},
    {"inference"},
    {"evaluation", "tracking", "pages"},
    {"execution"},
    STUDIES,
]


def imported(script: Path) -> set[Path]:
    """The project's modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / script).read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        candidates = (Path(name.replace(".", "/")).with_suffix(".py") for name in names)
        found |= {path for path in candidates if (ROOT / path).is_file()}
    return found


def reached(script: Path) -> set[Path]:
    seen: set[Path] = set()
    todo = [script]
    while todo:
        module = todo.pop()
        if module not in seen:
            seen.add(module)
            todo += imported(module)
    return seen


def floor(module: Path) -> int:
    """The height of a module, 0 the ground; commands are at the top."""
    if module in COMMANDS:
        return len(FLOORS)
    return next(height for height, packages in enumerate(FLOORS) if module.parts[1] in packages)


def test_the_root_of_src_holds_commands_only() -> None:
    root = {path for path in MODULES if len(path.parts) == 2} - {Path("src/__init__.py")}
    assert root <= {*COMMANDS}
    assert {path.parent for path in {*COMMANDS} - root} == {Path("src", name) for name in STUDIES}


def test_nothing_imports_a_command_or_a_stage() -> None:
    top = {*COMMANDS, *(path.relative_to(ROOT) for path in ROOT.glob("pipeline/[a-z]*.py"))}
    for module in [*MODULES, *top]:
        assert not imported(module) & top, module


@pytest.mark.parametrize("module", [m for m in MODULES if m.name != "__init__.py"], ids=str)
def test_modules_import_only_from_lower_floors(module: Path) -> None:
    for other in imported(module):
        same = other.parts[1] == module.parts[1]
        assert same or floor(other) < floor(module), f"{module} imports {other}"


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_have_no_circles(module: Path) -> None:
    assert not any(module in reached(other) for other in imported(module))


def test_no_two_modules_have_one_name() -> None:
    names = Counter(path.name for path in MODULES if not path.name.startswith("__"))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize(
    ("library", "importers"),
    [("mlflow", "src/tracking/*"), ("optuna", "src/tune/*"), ("dvc", "")],
)
def test_one_place_imports_each_framework(library: str, importers: str) -> None:
    pattern = re.compile(rf"^\s*(from|import) {library}\b", re.MULTILINE)
    for module in MODULES:
        if pattern.search((ROOT / module).read_text()):
            assert fnmatch.fnmatch(str(module), importers), module


def deciding(script: Path) -> set[Path]:
    """The modules that a script reaches, without itself and those that cannot change a result."""
    return {path for path in reached(script) - {script} if not PLUMBING.match_file(path)}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_folders_whose_code_it_reaches(stage: str) -> None:
    script = f"pipeline/{stage}.py"
    declared = [dep for dep in STAGES[stage]["deps"] if dep.startswith(("src/", "pipeline/"))]
    folders = {str(Path(*path.parts[:2])) for path in deciding(Path(script))}
    assert sorted(declared) == sorted({script, *folders})


def test_a_recipe_depends_on_what_decides_a_training() -> None:
    script = Path("src/recipes/recipe.py")
    declared = {Path(dep) for dep in RECIPES["recipe"]["deps"]}
    trains = {Path(dep) for dep in STAGES["train"]["deps"] if dep.startswith("src/")}
    assert declared == trains | {script}
    assert {Path(*path.parts[:2]) for path in deciding(script)} <= declared


def test_the_table_of_recipes_depends_on_every_recipe() -> None:
    names = RECIPES["recipe"]["matrix"]["name"]
    assert {path.stem for path in ROOT.glob("recipes/*.yaml")} == {*names, "dvc"}
    results = {f"recipes/results/{name}.csv" for name in names}
    assert results == {dep for dep in RECIPES["table"]["deps"] if "/results/" in dep}


@pytest.mark.parametrize("stage", STAGES)
def test_stage_declares_exactly_the_parameters_it_reads(stage: str) -> None:
    sections = importlib.import_module(f"pipeline.{stage}").Params
    declared = {key.split(".")[0]: None for key in STAGES[stage]["params"]}
    assert list(declared) == list(sections.model_fields)


def test_stage_scripts_are_thin() -> None:
    for script in ROOT.glob("pipeline/*.py"):
        assert len(script.read_text().splitlines()) <= 60, script


def test_only_evaluate_depends_on_test_images() -> None:
    readers = {name for name, stage in STAGES.items() if any("/test." in d for d in stage["deps"])}
    assert readers == {"evaluate"}


def test_outputs_in_dvc_yaml_are_the_paths_in_code() -> None:
    declared = {
        out
        for stage in STAGES.values()
        for out in [*stage.get("outs", []), *stage.get("metrics", [])]
    }
    folders = (paths.SOURCE_TENSORS, paths.TARGET_TENSORS)
    splits = (paths.TRAIN, paths.VAL, paths.TEST)
    assert declared == {
        str(path)
        for path in (
            paths.RAW,
            *(folder / split for folder in folders for split in splits),
            paths.BASE_MODEL,
            paths.FINETUNED_MODEL,
            paths.SCRATCH_MODEL,
            paths.COMPRESSED,
            paths.DATA_REPORT,
            paths.TRAIN_HISTORY,
            paths.FINETUNE_HISTORY,
            paths.METRICS,
            paths.EVALUATION,
            paths.REPORT,
        )
    }


def test_package_inits_are_empty() -> None:
    for init in ROOT.glob("src/**/__init__.py"):
        assert init.read_text() == "", init
