"""Read params.yaml, and give a stage the sections that it declares."""

import importlib
import textwrap
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from src.config.section import Section
from src.core.errors import UserError
from src.core.paths import PARAMS

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
    key, section = _locate(error["loc"], sections)
    match error["type"]:
        case "extra_forbidden":
            known = ", ".join(section.model_fields)
            return f"{key}: unknown key; here may stand {known}"
        case "union_tag_invalid":
            return f"{key}.type: should be {error['ctx']['expected_tags']}"
        case "union_tag_not_found":
            return f"{key}.type: missing; a range says of what type it is"
        case "missing":
            return f"{key}: missing; every value must be given"
        case "model_type" | "model_attributes_type":
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


def _locate(
    location: tuple[int | str, ...], section: type[BaseModel]
) -> tuple[str, type[BaseModel]]:
    """The dotted key of a value, and the section that holds it."""
    key = ""
    kind: Any = section
    for part in location:
        if get_origin(kind) is UnionType:  # the part is no key but the tag of the member tried
            members = (m for m in get_args(kind) if part in get_args(_field_type(m, "type")))
            kind = next(members, None)
            continue
        key += f"[{part}]" if isinstance(part, int) else f".{part}"
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            section, kind = kind, _field_type(kind, str(part))
        elif get_origin(kind) is dict:
            kind = get_args(get_args(kind)[1])[0]
    return key.removeprefix("."), section


def _field_type(section: type[BaseModel], name: str) -> Any:
    return section.model_fields[name].annotation if name in section.model_fields else None


def _first_line(error: object) -> str:
    return str(error).strip().partition("\n")[0]
