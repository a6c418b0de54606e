import json

import pytest

from src.inference.layout import like_mnist
from src.inference.usage import Usage

KNOWN = Usage(
    weights="00ff",
    classes=("$x_1$", "停车", 'a "b"\n'),
    image_shape=(1, 28, 20),
    home="target",
    temperature=0.1,
    furthest=1.25,
    layout=like_mnist(28, 20),
)
NEW = Usage("00ff", ("a", "b"), (3, 8, 8))


@pytest.mark.parametrize("usage", [KNOWN, NEW], ids=["evaluated", "not evaluated"])
def test_a_usage_comes_back_from_json(usage: Usage) -> None:
    assert Usage.from_tree(json.loads(json.dumps(usage.as_tree()))) == usage


@pytest.mark.parametrize(
    "text",
    [
        *("", "null", "[]", "{}"),
        json.dumps(NEW.as_tree() | {"image_shape": [8, 8]}),
        json.dumps(NEW.as_tree() | {"colour": 1}),
        json.dumps(KNOWN.as_tree() | {"layout": {"a": 1}}),
    ],
)
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        Usage.from_tree(json.loads(text))
