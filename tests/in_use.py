"""A small model in use: its weights, what evaluate says of it, test images, its exported file."""

from pathlib import Path

from src.core import paths
from src.core.files import write_bytes, write_text
from src.data.imageset import save_images
from src.data.splits import Splits
from src.inference.layout import measure
from src.inference.served import Typical, to_file
from src.inference.usage import Usage, sha256, to_text
from src.models.checkpoint import Checkpoint, save_model
from src.training.scratch import train_from_scratch
from tests.conftest import shrunk


def trained(splits: Splits, epochs: int = 4) -> Checkpoint:
    """A network that reads most digits, after a second."""
    params = shrunk(train__epochs=epochs)
    made = train_from_scratch(params.model, params.train, splits.train, splits.val, 0)
    return made.checkpoint


def put_in_use(folder: Path, checkpoint: Checkpoint, splits: Splits) -> None:
    """What `dvc repro` would leave in the folder."""
    save_model(folder / paths.BASE_MODEL, checkpoint)
    save_images(folder / paths.IMAGE_SETS["source.test"], splits.test)
    typical = Typical.of([splits.train.images])
    usage = Usage(
        weights=sha256((folder / paths.BASE_MODEL).read_bytes()),
        classes=checkpoint.classes,
        image_shape=checkpoint.image_shape,
        home="source",
        temperature=0.8,
        furthest=typical.furthest(splits.val.images),
        layout=measure(splits.val.images.numpy()),
    )
    write_text(to_text({"base": usage}), folder / paths.USAGE)
    write_bytes(to_file({"base": typical}), folder / paths.TYPICAL)
