"""MLflow's registry: the versions of the model, and which of them is in use."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version as installed
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from src.core import paths
from src.core.errors import UserError, first_line
from src.core.files import waited_for
from src.core.secrets import without_secrets
from src.inference.usage import sha256
from src.tracking import provenance
from src.tracking.courier import Courier
from src.tracking.runs import start_run
from src.tracking.store import PIPELINE, connected, creating

if TYPE_CHECKING:  # MLflow takes a second and a half to import: only once it is needed
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models.signature import ModelSignature

MODEL = "idxflow"
CHAMPION, CHALLENGER = "champion", "challenger"
FOLDER, FILE = "model", "model.onnx"  # among the artifacts of a version's run, as MLflow names them
CONTENT, IDENTITY = "onnx.sha256", "usage.sha256"  # tags of a version
NEEDED = ("mlflow", "numpy", "onnx", "onnxruntime")  # by who serves it


class Version(NamedTuple):
    number: int
    run: str  # the id of the run that has its files
    tags: Mapping[str, str]

    def __str__(self) -> str:
        return f"version {self.number}"


class Package(NamedTuple):
    """What becomes a version.

    content: of the ONNX file; pixels: examples, uint8 [N, C, H, W], N at least 2; outputs: by name,
    what it says of them, float32 [N, ...]; about: kept beside the model, as `metadata`.
    """

    content: bytes
    pixels: np.ndarray
    outputs: Mapping[str, np.ndarray]
    about: Mapping[str, Any]


@contextmanager
def registry() -> Iterator["Registry"]:
    """The registry, for one process of this checkout at a time.

    MLflow's own errors in the block become UserErrors that name its address.
    """
    lock = paths.root() / ".dvc/tmp/idxflow-register.lock"
    with (
        waited_for(lock, "another registration"),
        connected(PIPELINE) as (courier, [experiment]),
    ):
        yield Registry(courier, experiment)


class Registry:
    def __init__(self, courier: Courier, experiment: str) -> None:
        self._courier, self._client, self._experiment = courier, courier.client, experiment

    def champion(self) -> Version | None:
        for model in self._client.search_registered_models(f"name = '{MODEL}'"):
            if number := model.aliases.get(CHAMPION):
                return _version(self._client.get_model_version(MODEL, str(number)))
        return None

    def find(self, identity: str) -> Version | None:
        """The latest version of a model, if its files are still there."""
        entries = self._client.search_model_versions(
            f"name = '{MODEL}' and tag.`{IDENTITY}` = '{identity}'",
            order_by=["version_number DESC"],
        )
        return next(filter(self._is_whole, map(_version, entries)), None)

    def _is_whole(self, version: Version) -> bool:
        try:
            return bool(self.content(version))
        except UserError:
            return False

    def content(self, version: Version) -> bytes:
        """Its ONNX file; UserError if that is gone, or not as it was registered."""
        from mlflow.exceptions import MlflowException

        with TemporaryDirectory() as folder:
            try:
                place = self._client.download_artifacts(version.run, f"{FOLDER}/{FILE}", folder)
                content = Path(place).read_bytes()
            except (MlflowException, OSError) as error:
                reason = without_secrets(first_line(error))
                raise UserError(f"its files are gone from MLflow ({reason})") from error
        if sha256(content) != version.tags.get(CONTENT):
            raise UserError("its file in MLflow is not as it was registered")
        return content

    def add(self, package: Package, tags: Mapping[str, str]) -> Version:
        """A new version, without an alias. tags: of it, and of the run that has its files."""
        # Nothing is kept for later, as that of a stage is: no version without its files.
        all_tags = {**provenance.code_tags(), **tags}
        with (
            TemporaryDirectory() as folder,
            start_run(self._courier, self._experiment, "register", all_tags) as run,
        ):
            place = Path(folder, FOLDER)
            _save(package, place)
            self._courier.insist(
                lambda client: client.log_artifacts(run.run_id, str(place), FOLDER)
            )
            if not self._client.search_registered_models(f"name = '{MODEL}'"):
                self._courier.insist(lambda client: client.create_registered_model(MODEL))
            # By the run, whose files MLflow finds where the checkout is now.
            source = f"runs:/{run.run_id}/{FOLDER}"
            entry = self._courier.insist(
                lambda client: client.create_model_version(
                    MODEL, source, run.run_id, tags={**all_tags, CONTENT: sha256(package.content)}
                )
            )
            return _version(entry)

    def annotate(self, version: Version, tags: Mapping[str, str], description: str) -> None:
        """Say of a version what the gate found."""
        number = str(version.number)
        for key, value in tags.items():
            self._client.set_model_version_tag(MODEL, number, key, value)
        self._client.update_model_version(MODEL, number, description)

    def make_challenger(self, version: Version) -> None:
        self._client.set_registered_model_alias(MODEL, CHALLENGER, str(version.number))

    def make_champion(self, version: Version, instead_of: Version | None) -> None:
        """Make the version champion; UserError if another one has become it meanwhile."""
        with creating():
            if _number(self.champion()) != _number(instead_of):
                raise UserError(
                    f"{MODEL} has another champion by now, from another checkout; the same command "
                    "again contests that one"
                )
            self._client.set_registered_model_alias(MODEL, CHAMPION, str(version.number))
        [model] = self._client.search_registered_models(f"name = '{MODEL}'")
        if str(model.aliases.get(CHALLENGER)) == str(version.number):
            self._client.delete_registered_model_alias(MODEL, CHALLENGER)


def _version(entry: "ModelVersion") -> Version:
    return Version(int(entry.version), str(entry.run_id), entry.tags)


def _number(version: Version | None) -> int | None:
    return version.number if version else None


def _save(package: Package, folder: Path) -> None:
    """As MLflow's ONNX flavour: no pickle, and no code of this repository."""
    import mlflow.onnx
    import onnx

    mlflow.onnx.save_model(
        onnx.load_from_string(package.content),
        folder,
        signature=_signature(package),
        input_example={"pixels": package.pixels},
        pip_requirements=[f"{name}=={installed(name)}" for name in NEEDED],
        onnx_execution_providers=["CPUExecutionProvider"],
        save_as_external_data=False,
        metadata=dict(package.about),
    )


def _signature(package: Package) -> "ModelSignature":
    from mlflow.models.signature import ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    def schema(arrays: Mapping[str, np.ndarray]) -> Schema:
        return Schema(
            [TensorSpec(each.dtype, (-1, *each.shape[1:]), name) for name, each in arrays.items()]
        )

    return ModelSignature(schema({"pixels": package.pixels}), schema(package.outputs))
