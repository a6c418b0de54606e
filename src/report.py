"""Rebuild reports/index.html, and the pages of studies, from what the stages and studies left."""

from src.core.cli import Parser, run


def _report() -> None:
    # Imported here, so that --help is fast.
    from src.core import paths
    from src.core.errors import UserError, warn
    from src.pages.index import write_report
    from src.pages.studies import PAGES, write_study
    from src.tracking.provenance import md5, outputs, recorded

    made_of = recorded("evaluate")
    if made_of is None:
        raise UserError(f"{paths.DVC_LOCK}: has no evaluate stage; `dvc repro` runs it")
    known = {**made_of.data(), **outputs("evaluate")}
    for path in (paths.DATA_REPORT, paths.EVALUATION):
        if md5(path) != known.get(str(path)):
            raise UserError(f"{path}: not what {paths.DVC_LOCK} records; run `dvc repro`")
    write_report(made_of)
    print(f"The page: {paths.REPORT}")
    for name in PAGES:
        if (paths.REPORTS / name).exists():
            try:
                write_study(name)
            except UserError as error:  # it was interrupted, or is of another version
                warn(str(error))


def main() -> None:
    Parser(prog="python -m src.report", description=__doc__ or "").parse_args()
    run(_report)


if __name__ == "__main__":
    main()
