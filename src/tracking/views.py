"""What MLflow's pages show first: the kind of an experiment, what it is about, a saved view."""

import base64
import json
import zlib
from collections.abc import Sequence
from typing import NamedTuple

KIND, NOTE = "mlflow.experimentKind", "mlflow.note.content"
TRAINING = "workflowType=machine_learning"  # beside the pages for generative AI
SHARED_VIEW = "mlflow.sharedViewState.idxflow"


class View(NamedTuple):
    """The runs and columns that matter, in the words of MLflow's search."""

    about: str
    columns: Sequence[str]
    runs: str = ""


METRIC, PARAM, TAG = "metrics.`{}`", "params.`{}`", "tags.`{}`"
VIEWS = {
    "pipeline": View(
        "A run per execution of a stage. The view *idxflow* shows the finished pipelines: a row "
        "each, with every parameter, and the accuracies on test images.",
        [
            METRIC.format("base_source_accuracy"),
            METRIC.format("finetuned_source_accuracy"),
            METRIC.format("finetuned_target_accuracy"),
            METRIC.format("scratch_target_accuracy"),
            METRIC.format("finetuned_target_loss"),
            "attributes.`Dataset`",
        ],
        "tags.`dvc.stage` = 'evaluate'",
    ),
    "tune": View(
        "A run per study, with a run for each trial below it. The lower the validation loss, the "
        "better; no test image is read.",
        [
            METRIC.format("best_val_loss"),
            METRIC.format("winner_val_loss_mean"),
            METRIC.format("kept_val_loss"),
            METRIC.format("kept_val_accuracy"),
            TAG.format("state"),
            PARAM.format("train.optimizer.learning_rate"),
        ],
    ),
    "recipes": View(
        "A run per recipe, with a run for each seed below it.",
        [METRIC.format("source_test_accuracy"), METRIC.format("kept_val_accuracy")],
    ),
    "crossval": View(
        "A run per cross-validation, with a run for each fold below it.",
        [METRIC.format("accuracy"), METRIC.format("loss"), METRIC.format("held_out_accuracy")],
    ),
    "transfer": View(
        "A run per transfer study, with a run for each training below it.",
        [
            METRIC.format("target_test_accuracy"),
            METRIC.format("target_val_accuracy"),
            METRIC.format("source_test_accuracy"),
        ],
    ),
    "compress": View(
        "A run per study of smaller models, with a run for each training below it.",
        [METRIC.format("kept_val_accuracy"), METRIC.format("kept_val_loss")],
    ),
}


def experiment_tags(name: str) -> dict[str, str]:
    """The tags with which an experiment opens as what it is."""
    view = VIEWS[name]
    return {
        # Without it, the experiment opens as a project of generative AI.
        KIND: "custom_model_development",
        NOTE: view.about,
        SHARED_VIEW: _saved("idxflow", view),
    }


def address(experiment_id: str) -> str:
    """Where the saved view of an experiment is, in MLflow's pages."""
    return f"#/experiments/{experiment_id}/runs?{TRAINING}&viewStateShareKey=idxflow"


def address_of_run(experiment_id: str, run_id: str, part: str = "") -> str:
    """Where a run, or a part of its page, is in MLflow's pages."""
    return f"#/experiments/{experiment_id}/runs/{run_id}{part}?{TRAINING}"


def _saved(name: str, view: View) -> str:
    """A view as MLflow itself saves it."""
    state = {
        "searchFilter": view.runs,
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": [*view.columns],
    }
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    return json.dumps({"name": name, "createdAt": 0, "updatedAt": 0, "state": f"deflate;{packed}"})
