"""Read params.yaml, and give a stage the sections that it declares."""

import importlib
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from src.config.section import Section
from src.errors import UserError
from src.paths import PARAMS

Sections = TypeVar("Sections", bound=Section)


def load(sections: type[Sections], path: Path = PARAMS) -> Sections:
    """The sections of the file that are fields of `sections`, once the whole file has been checked.

    Raises UserError, in one line with the dotted key, for anything wrong anywhere in the file.
    """
    tree = read(path)
    # All sections are checked before any stage works, yet a stage should be stale only when a
    # section of its own changed. So the module that knows them all is not imported, which would
    # make it a dependency of every stage, but looked up: it can refuse, never change a result.
    whole = importlib.import_module("src.config.whole")
    parse(whole.Params, tree, path)
    return parse(sections, {name: tree[name] for name in sections.model_fields}, path)


def read(path: Path = PARAMS) -> dict[str, Any]:
    """The file as plain values, by YAML 1.2 rules: `1e-3` is a number and `no` a string."""
    try:
        tree = YAML(typ="safe", pure=True).load(path)
    except FileNotFoundError:
        raise UserError(f"{path}: not found; run this in the repository's root") from None
    except MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}:" if error.problem_mark else ""
        raise UserError(f"{path}:{line} {_first_line(error.problem)}") from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: {_first_line(error)}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{path}: should be a mapping of sections")
    return tree


def parse(sections: type[Sections], tree: Mapping[str, Any], path: Path = PARAMS) -> Sections:
    """`tree` as validated sections; UserError names the first wrong key and what would be right."""
    try:
        return sections.model_validate(tree)
    except ValidationError as invalid:
        # A misspelt key is unknown, and the right one missing: the first tells more.
        found = sorted(invalid.errors(), key=lambda error: error["type"] != "extra_forbidden")
        error, *more = found
        others = f" (and {len(more)} more)" if more else ""
        raise UserError(f"{path}: {_describe(error, sections)}{others}") from None


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level of dotted keys; lists stay values."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _describe(error: ErrorDetails, sections: type[BaseModel]) -> str:
    key = _dotted(error["loc"])
    match error["type"]:
        case "extra_forbidden":
            known = ", ".join(_keys_beside(error["loc"], sections))
            return f"{key}: unknown key; here may stand {known}"
        case "missing":
            return f"{key}: missing; every value must be given"
        case "model_type":
            return f"{key}: should be a mapping, not {_shown(error['input'])}"
        case "tuple_type":
            return f"{key}: should be a list, not {_shown(error['input'])}"
        case "too_short":
            return f"{key}: should have at least {error['ctx']['min_length']} entry"
        case "too_long":
            return f"{key}: should have at most {error['ctx']['max_length']} entries"
        case "value_error":
            message = str(error["ctx"]["error"])
            return f"{key}: {message}" if key else message
    told = error["msg"].replace("Input should", "should", 1)
    return f"{key}: {told}, not {_shown(error['input'])}"


def _shown(value: object) -> str:
    return textwrap.shorten(repr(value), 60, placeholder="...")


def _dotted(location: tuple[int | str, ...]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _keys_beside(location: tuple[int | str, ...], sections: type[BaseModel]) -> list[str]:
    for part in location[:-1]:
        field = sections.model_fields[str(part)].annotation
        assert isinstance(field, type)
        assert issubclass(field, BaseModel)
        sections = field
    return list(sections.model_fields)


def _first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0]
