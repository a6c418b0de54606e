"""The parameters: types and ranges from src/config, values and meanings from params.yaml."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from docs.markdown import either, table
from src.config.params import Params
from src.config.values import value_at

ROOT = Path(__file__).parents[1]
NAMED = ("tune.space", "compress.models")  # whose keys are names
COLUMNS = ("key", "type and range", "in params.yaml", "meaning")

Schema = Mapping[str, Any]


def parameters() -> str:
    """A table for each section, and one for the kinds of smaller models and of ranges each."""
    whole = Params.model_json_schema()
    known, sections = whole["$defs"], whole["properties"].items()
    tables = (_section(name, schema, known) for name, schema in sections)
    ranges = _kinds("a range", known["TuneConfig"]["properties"]["space"], known)
    models = _kinds("a smaller model", known["CompressConfig"]["properties"]["models"], known)
    return "\n\n".join([*tables, models, ranges])


def _section(name: str, schema: Schema, known: Schema) -> str:
    file = YAML().load(ROOT / "params.yaml")
    meanings = {key: text for key, text in _comments(file) if text}
    about = [_readers(name)]
    if "type" not in schema:  # a section, not a value
        about.insert(0, meanings.pop(name, ""))
    rows = [
        (f"`{key}`", _in_words(found), _shown(file, key), _meaning(meanings, key))
        for key, found in _values(name, schema, known)
        if "properties" not in found or key in meanings
    ]
    return "\n\n".join(
        [f"### `{name}`", " ".join(map(_sentence, filter(None, about))), table(COLUMNS, rows)]
    )


def _values(name: str, schema: Schema, known: Schema) -> Iterator[tuple[str, Schema]]:
    """A key and all below it, each with its schema."""
    if "$ref" in schema:
        schema = known[schema["$ref"].rpartition("/")[2]]
    if "oneOf" in schema:
        schema = _merged([known[each["$ref"].rpartition("/")[2]] for each in schema["oneOf"]])
    yield name, schema
    for key, inner in schema.get("properties", {}).items():
        yield from _values(f"{name}.{key}", inner, known)


def _merged(networks: list[Schema]) -> Schema:
    """The keys of all networks as those of one."""
    properties: dict[str, Schema] = {}
    for network in networks:
        properties = {**network["properties"], **properties}
    names = [network["properties"]["name"]["const"] for network in networks]
    return {"properties": {**properties, "name": {"enum": names}}}


def _in_words(schema: Schema) -> str:
    match schema:
        case {"const": word}:
            return f"`{word}`"
        case {"enum": words}:
            return either(words)
        case {"anyOf": kinds}:
            return " or ".join(map(_in_words, kinds)) if len(kinds) < 3 else "value"
        case {"prefixItems": [first, *more]}:
            return f"list of {1 + len(more)} {_plural(first)}"
        case {"type": "array", "items": each}:
            least = f"{schema['minItems']} or more " if "minItems" in schema else ""
            return f"list of {least}{_plural(each)}"
        case {"type": "integer" | "number" as kind}:
            return " ".join(["whole number" if kind == "integer" else "number", *_limits(schema)])
        case {"additionalProperties": {"discriminator": _}} | {"patternProperties": _}:
            return "what the table below says, for each name"
        case {"properties": _}:
            return ""
        case {"type": "object"}:
            return "keys and values"
    return {"boolean": "true or false", "string": "text", "null": "empty"}[schema["type"]]


def _plural(schema: Schema) -> str:
    one, _, limits = _in_words(schema).partition(" from ")
    return f"{one}s" + (f", each from {limits}" if limits else "")


def _limits(schema: Schema) -> Iterator[str]:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    has_end = high is not None or below is not None
    if above is not None:
        yield f"above {above}"
    if low is not None:
        yield f"from {low}" if has_end else f"of at least {low}"
    if has_end:
        yield f"to {high}" if below is None else f"to below {below}"


def _comments(section: CommentedMap, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted keys, and what the file says of each: behind it, and in the lines below."""
    for key, value in section.items():
        _, _, behind, below = section.ca.items.get(key, [None] * 4)
        text = "".join(token.value for token in [behind, *(below or [])] if token)
        first, *more = [line.strip("# ") for line in text.strip().split("\n")]
        yield f"{prefix}{key}", f"{first}{'; ' if behind and more else ' '}{' '.join(more)}".strip()
        if isinstance(value, CommentedMap) and f"{prefix}{key}" not in NAMED:
            yield from _comments(value, f"{prefix}{key}.")


def _meaning(meanings: Mapping[str, str], key: str) -> str:
    other = key.replace("finetune.", "train.").replace("compress.train.", "train.")
    return meanings.get(key) or (f"as `{other}`" if other in meanings else "")


def _shown(file: CommentedMap, key: str) -> str:
    try:
        value = value_at(file, key)
    except KeyError:  # of another network
        return ""
    if isinstance(value, Mapping):
        return ""
    return (
        "empty" if value is None else f"`{value if isinstance(value, str) else json.dumps(value)}`"
    )


def _readers(section: str) -> str:
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    readers = [
        f"`{stage}`"
        for stage, about in stages.items()
        if any(name.split(".")[0] == section for name in about["params"])
    ]
    return f"read by {', '.join(readers)}" if readers else ""


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _kinds(what: str, named: Schema, known: Schema) -> str:
    """What may stand behind a name, by its type: the keys of each."""
    values = named.get("additionalProperties") or next(iter(named["patternProperties"].values()))
    rows = []
    for kind in values["oneOf"]:
        keys = known[kind["$ref"].rpartition("/")[2]]["properties"]
        others = (f"`{key}`: {_in_words(keys[key])}" for key in keys if key != "type")
        rows.append((_in_words(keys["type"]), "; ".join(others)))
    return table((f"`type` of {what}", "its keys"), rows)
