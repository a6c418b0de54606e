"""Single values of a tree of parameters, by dotted name: `model.kernel_sizes.0` is in a list."""

import copy
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from src.core.errors import UserError


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one level of dotted keys; lists stay values."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def value_at(tree: Mapping[str, Any], name: str) -> Any:
    """The value called `name`; KeyError if there is none."""
    found: Any = tree
    for part in name.split("."):
        if isinstance(found, Mapping):
            found = found[part]
        elif isinstance(found, list | tuple) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            raise KeyError(name)
    return found


def with_values(tree: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `tree`, which holds every name in `values`, with those values."""
    changed = copy.deepcopy(dict(tree))
    for name, value in values.items():
        *sections, last = name.split(".")
        holder: Any = value_at(changed, ".".join(sections)) if sections else changed
        holder[int(last) if isinstance(holder, list) else last] = value
    return changed


def rewrite(text: str, values: Mapping[str, Any]) -> str:
    """The YAML `text`, which holds every name in `values`, with those values.

    Only their own characters change: comments, layout and spelling of the rest stay. Raises
    UserError for a value with an anchor, to which others may refer.
    """
    root = YAML().compose(text)
    spans = [(_span(root, name, text), value) for name, value in values.items()]
    # From the end, so that the places before a change stay where they are.
    for (start, end), value in sorted(spans, key=lambda span: span[0], reverse=True):
        space = " " if start == end else ""  # an empty null stands right after its colon
        text = text[:start] + space + _as_yaml(value) + text[end:]
    return text


def _span(root: Node, name: str, text: str) -> tuple[int, int]:
    """Where in the text a value begins and ends."""
    node, after_key = root, 0
    for part in name.split("."):
        if isinstance(node, SequenceNode):
            node = node.value[int(part)]
        else:
            assert isinstance(node, MappingNode), name
            key, node = next((key, value) for key, value in node.value if key.value == part)
            after_key = text.index(":", key.end_mark.index) + 1
    assert isinstance(node, ScalarNode), name
    if node.anchor:
        raise UserError(f"{name}: should have no anchor, to be rewritten")
    start, end = node.start_mark.index, node.end_mark.index
    return (start, end) if start < end else (after_key, after_key)


def _as_yaml(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case float():
            # YAML 1.1, which others read the file by, takes 1e-05 for a string.
            digits, exponent, power = repr(value).partition("e")
            return f"{digits if '.' in digits else f'{digits}.0'}{exponent}{power}"
    return str(value)
