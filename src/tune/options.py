"""The arguments by which commands name a study; imported before any framework, for --help."""

from src.core.cli import Parser, name


def add_study_options(parser: Parser) -> None:
    parser.add_argument(
        "--study",
        type=name,
        default="sweep",
        metavar="NAME",
        help="name of the study (default: sweep)",
    )
    parser.add_argument(
        "--storage",
        metavar="URL",
        help="database of the study, which machines can share, such as "
        "postgresql+psycopg://user@host/name (default: optuna.log in the repository)",
    )
