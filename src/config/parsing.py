"""From YAML to validated sections, or one line that names the wrong key and what would be right."""

import copy
import textwrap
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from src.config.sections import Section
from src.core.errors import UserError, first_line
from src.core.paths import PARAMS

Sections = TypeVar("Sections", bound=Section)


def read(path: Path = PARAMS) -> dict[str, Any]:
    """The file as plain values, by YAML 1.2 rules: `1e-3` is a number and `no` a string."""
    try:
        tree = copy.deepcopy(_loaded(path.read_bytes()))
    except FileNotFoundError as error:
        raise UserError(f"{path}: not found; run this in the repository's root") from error
    except MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}:" if error.problem_mark else ""
        raise UserError(f"{path}:{line} {first_line(error.problem)}") from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: {first_line(error)}") from error
    if not isinstance(tree, dict):
        raise UserError(f"{path}: should be a mapping of sections")
    return tree


@lru_cache(maxsize=8)
def _loaded(content: bytes) -> Any:
    """Once for each content: it takes 50 ms, and a stage asks for params.yaml five times."""
    return YAML(typ="safe", pure=True).load(content)


def parse(sections: type[Sections], tree: Mapping[str, Any], path: Path = PARAMS) -> Sections:
    """`tree` as validated sections; UserError names the first wrong key and what would be right."""
    try:
        return sections.model_validate(tree)
    except ValidationError as invalid:
        # A misspelt key is reported as unknown, and the right one as missing: show the first.
        found = sorted(invalid.errors(), key=lambda error: error["type"] != "extra_forbidden")
        error, *more = found
        others = f" (and {len(more)} more)" if more else ""
        raise UserError(f"{path}: {_describe(error, sections)}{others}") from invalid


def as_sentence(error: ErrorDetails) -> str:
    """Pydantic's message, with the value that it is about."""
    message = error["msg"].replace("Input should", "should", 1)
    return f"{message}, not {_shorten(error['input'])}"


def _describe(error: ErrorDetails, sections: type[BaseModel]) -> str:
    key, section = _locate(error["loc"], sections)
    value, context = error["input"], error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return f"{key}: unknown key; expected one of {', '.join(section.model_fields)}"
        case "union_tag_invalid":
            return f"{key}.{_tag(error)}: should be {context['expected_tags']}"
        case "union_tag_not_found" if isinstance(value, Mapping):
            return f"{key}.{_tag(error)}: missing; every value must be given"
        case "missing":
            return f"{key}: missing; every value must be given"
        case "model_type" | "model_attributes_type" | "union_tag_not_found":
            return f"{key}: should be a mapping, not {_shorten(value)}"
        case "tuple_type":
            return f"{key}: should be a list, not {_shorten(value)}"
        case "too_short":
            return f"{key}: should have at least {context['min_length']} entry"
        case "too_long":
            return f"{key}: should have at most {context['max_length']} entries"
        case "value_error":
            told = str(context["error"])  # which may name a key below this one
            return told if not key or told.startswith(f"{key}.") else f"{key}: {told}"
        case "string_pattern_mismatch":
            return f"{key}: is no name: should be at most 40 of a-z, 0-9, - and _, a letter first"
    return f"{key}: {as_sentence(error)}"


def _tag(error: ErrorDetails) -> str:
    """The key by which the class of a section is chosen."""
    return str(error["ctx"]["discriminator"]).strip("'()")


def _shorten(value: object) -> str:
    return textwrap.shorten(repr(value), 60, placeholder="...")


def _locate(
    location: tuple[int | str, ...], section: type[BaseModel]
) -> tuple[str, type[BaseModel]]:
    """The dotted key of a value, and the section that holds it."""
    key = ""
    kind: Any = section
    for part in location:
        if get_origin(kind) in (Union, UnionType):  # the part is no key but names the class tried
            kind = next((member for member in _members(kind) if part in _tags(member)), None)
            continue
        key += f"[{part}]" if isinstance(part, int) else f".{part}"
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            section, kind = kind, _field_type(kind, str(part))
        elif get_origin(kind) is dict:
            kind = _bare(get_args(kind)[1])
    return key.removeprefix("."), section


def _members(union: Any) -> list[Any]:
    return [_bare(member) for member in get_args(union)]


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _tags(member: Any) -> tuple[Any, ...]:
    if not (isinstance(member, type) and issubclass(member, BaseModel)):
        return ()
    return get_args(_field_type(member, "name")) + get_args(_field_type(member, "type"))


def _field_type(section: type[BaseModel], name: str) -> Any:
    return section.model_fields[name].annotation if name in section.model_fields else None
