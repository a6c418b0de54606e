"""Say what is on pictures: a JSON line for each, with the three likeliest classes."""

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.core import paths
from src.core.cli import Parser, run

if TYPE_CHECKING:
    from src.inference.answers import Reading
    from src.inference.pictures import Picture

TOP = 3  # classes that are told
STEM = 50  # characters of a picture's name, in the names of its steps
DIGITS = 6  # of a probability: the two engines differ in the next
COLUMNS = ("file", "index", "label", "probability", "unlike_training", "other_writing")


def _arguments() -> argparse.Namespace:
    parser = Parser(
        prog="python -m src.predict",
        description=f"{__doc__} Photos and scans are framed as the training images are, but "
        "images of the model's size on a background like theirs are taken as they are. "
        "`unlike_training` is true for an image that is unlike those the model has learned from.",
    )
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="a picture (PNG, JPEG, BMP, GIF, WebP, TIFF), an IDX file of images, or a folder",
    )
    parser.add_argument(
        "--model",
        type=Path,
        default=paths.BASE_MODEL,
        metavar="PATH",
        help="weights or an exported file (default: %(default)s); in place of weights, the file "
        "exported from them is used where it lies beside them",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print a table instead of JSON lines")
    form.add_argument(
        "--explain", action="store_true", help="tell how each picture was prepared for the model"
    )
    parser.add_argument(
        "--steps", type=Path, metavar="FOLDER", help="save what that looks like as PNG files"
    )
    return parser.parse_args()


def _predict(arguments: argparse.Namespace) -> None:
    # Imported here, so that --help is fast.
    from src.core.errors import UserError
    from src.inference.answers import read
    from src.inference.engines import open_model

    if arguments.steps:
        _make(arguments.steps)
    engine, faults = open_model(arguments.model), list[str]()
    table = csv.writer(sys.stdout, lineterminator="\n")
    if arguments.csv:
        table.writerow(COLUMNS)
    for number, reading in enumerate(read(engine, _pictures(arguments.files, faults)), 1):
        told = _told(reading, arguments.explain)
        if arguments.csv:
            table.writerow([_cell(told.get(column)) for column in COLUMNS])
        else:
            print(json.dumps(told, ensure_ascii=False))
        if arguments.steps:
            _save_steps(reading, number, arguments.steps)
    if faults:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise UserError(f"{faults[0]}{more}")


def _pictures(places: Sequence[Path], faults: list[str]) -> Iterator["Picture"]:
    """All pictures that can be read; `faults` gets a sentence for each file that cannot."""
    from src.core.errors import UserError, warn
    from src.inference.pictures import files, read_pictures

    for path in files(places):
        try:
            yield from read_pictures(path)
        except UserError as error:
            faults.append(str(error))
            if len(places) > 1 or places[0].is_dir():
                warn(f"left out: {error}")


def _told(reading: "Reading", explain: bool) -> dict[str, Any]:
    answer = reading.answer
    told: dict[str, Any] = {"file": reading.file}
    if reading.index is not None:
        told["index"] = reading.index
    told |= {
        "label": answer.label,
        "probability": round(answer.probability, DIGITS),
        "top": [
            {"label": label, "probability": round(probability, DIGITS)}
            for label, probability in answer.ranked[:TOP]
        ],
        "unlike_training": answer.unlike,
        "other_writing": reading.prepared.others,
    }
    if explain:
        told["steps"] = [step.did for step in reading.prepared.steps]
    return told


def _cell(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


def _make(folder: Path) -> None:
    from src.core.errors import UserError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise UserError(f"{folder}: is a file; --steps should name a folder") from error


def _save_steps(reading: "Reading", number: int, folder: Path) -> None:
    from PIL import Image

    stem = Path(reading.file).stem[:STEM]
    for count, step in enumerate(reading.prepared.steps, 1):
        name = f"{number:05d}-{stem}-{count}.png"
        Image.fromarray(step.image).save(folder / name)


def main() -> None:
    arguments = _arguments()
    run(lambda: _predict(arguments))


if __name__ == "__main__":
    main()
