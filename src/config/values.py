"""Single values of a tree of parameters, by dotted name: `model.kernel_sizes.0` is in a list."""

import copy
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode


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

    Only their own characters change: comments, layout and spelling of the rest stay.
    """
    root = YAML().compose(text)
    spans = [(_node_at(root, name), value) for name, value in values.items()]
    # From the end, so that the places before a change stay where they are.
    for node, value in sorted(spans, key=lambda span: span[0].start_mark.index, reverse=True):
        text = text[: node.start_mark.index] + _as_yaml(value) + text[node.end_mark.index :]
    return text


def _node_at(root: Node, name: str) -> Node:
    node = root
    for part in name.split("."):
        if isinstance(node, SequenceNode):
            node = node.value[int(part)]
        else:
            assert isinstance(node, MappingNode), name
            node = next(value for key, value in node.value if key.value == part)
    assert isinstance(node, ScalarNode), name
    return node


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
