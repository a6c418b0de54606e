"""What a run says of itself in MLflow: its name, its description, its data sets."""

import os
from collections.abc import Mapping
from typing import Any

from src.config.parsing import read
from src.config.values import flatten
from src.core import paths
from src.tracking import provenance
from src.tracking.views import address_of_run

NAMED = 2  # changed values in the name of a run
CONTEXTS = {"test": "testing", "train": "training", "val": "validation"}


def changes() -> dict[str, Any]:
    """The parameters of the stages that differ from those of the last commit, and their values."""
    before = flatten(provenance.committed_params())
    if not before:
        return {}
    return {
        key: value
        for key, value in flatten(read()).items()
        if before.get(key) != value and not key.startswith("tune.")
    }


def name(stage: str, changed: Mapping[str, Any]) -> str:
    """The stage; where it is an experiment's, that; and what was changed for it."""
    values = [f"{key}={value}" for key, value in changed.items()]
    more = [f"{len(values) - NAMED} more"] if len(values) > NAMED else []
    parts = (stage, os.environ.get("DVC_EXP_NAME", ""), ", ".join(values[:NAMED] + more))
    return " ".join(filter(None, parts))


def description(
    stage: str, changed: Mapping[str, Any], tags: Mapping[str, str], pipeline: str
) -> str:
    """Markdown: what a run of a stage is, and what it was made from, with links.

    tags: those of `origin_tags`; pipeline: the id of the experiment with the stages' runs.
    """
    data = read().get("data", {})
    about = f": {data['source']} to {data['target']}" if "source" in data else ""
    lines = [f"Stage **{stage}**{about}."]
    if changed:
        values = ", ".join(f"`{key}={value}`" for key, value in changed.items())
        lines.append(f"Changed since the last commit: {values}.")
    links = [
        f"[{key.removeprefix('upstream.')}]({address_of_run(pipeline, run_id)})"
        for key, run_id in tags.items()
        if key.startswith("upstream.")
    ]
    if links:
        lines.append(f"Made from {', '.join(links)}.")
    return "\n\n".join(lines)


def datasets(data: Mapping[str, str]) -> list[dict[str, str]]:
    """The image sets among inputs, MD5 by path, as MLflow's data sets."""
    names = read().get("data", {})
    known = {str(path): key.split(".") for key, path in paths.IMAGE_SETS.items()}
    found = [(*known[path], path, md5[:8]) for path, md5 in data.items() if path in known]
    # The first is the one that MLflow shows beside a run.
    order = [*CONTEXTS]
    return [
        {
            "name": f"{names.get(role, role)} {split}",
            "digest": digest,
            "source": path,
            "context": CONTEXTS[split],
        }
        for role, split, path, digest in sorted(found, key=lambda each: order.index(each[1]))
    ]
