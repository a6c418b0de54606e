"""From a file with weights to a version in the registry, through the gate."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from src.config.params import Params
from src.core.errors import UserError
from src.core.secrets import without_secrets
from src.data.checks import load_params
from src.inference.engines import Onnx
from src.register import records
from src.register.candidate import Candidate, load
from src.register.contest import contest
from src.register.gate import Check
from src.register.records import Outcome
from src.tracking.registry import (
    CHALLENGER,
    CHAMPION,
    Registry,
    Version,
    registry,
)


def register(weights: Path, why: str | None, dry_run: bool) -> Outcome:
    """Take a model through the gate, and keep what came of it in MLflow.

    why: it is to be champion whatever the gate finds, unless its export is broken. Raises UserError
    for a file that is no model of the pipeline.
    """
    candidate = load(weights)
    sound = candidate.checks()
    with registry() as found:
        champion, version = found.champion(), found.find(records.identity(candidate.usage))
        rounds = list[Check]()
        if champion and champion != version and _alias(sound, [], why):
            rounds = _contest(found, champion, candidate)
        outcome = Outcome(
            version.number if version else None,
            known=version is not None,
            alias=_alias(sound, rounds, why),
            before=champion.number if champion else None,
            why=without_secrets(why) if why and _failed(sound, rounds) else None,
            checks=(*sound, *rounds),
            dry_run=dry_run,
        )
        if dry_run or not outcome.alias or (champion and champion == version):
            return outcome
        return _write(found, candidate, champion, version, outcome)


def _alias(sound: Sequence[Check], rounds: Sequence[Check], why: str | None) -> str | None:
    """What the model may be called; None if it may not enter."""
    if "parity" in _failed(sound):  # nothing that is served would be what was tested
        return None
    if why or not _failed(sound, rounds):
        return CHAMPION
    return None if _failed(sound) else CHALLENGER


def _failed(*checks: Sequence[Check]) -> list[str]:
    return [check.name for group in checks for check in group if not check.passed]


def _contest(found: Registry, champion: Version, candidate: Candidate) -> list[Check]:
    try:
        holder = Onnx(found.content(champion), f"the champion, {champion}")
    except UserError as error:
        told = f"no contest with the champion, {champion}: {error}"
        return [Check("champion", False, told)]
    return contest(holder, candidate.export, candidate.tests, load_params(Params).seed)


def _write(
    found: Registry,
    candidate: Candidate,
    champion: Version | None,
    version: Version | None,
    outcome: Outcome,
) -> Outcome:
    version = version or found.add(records.package(candidate), records.origin(candidate))
    outcome = replace(outcome, version=version.number)
    if outcome.alias == CHAMPION:
        found.make_champion(version, instead_of=champion)
    else:
        found.make_challenger(version)
    found.annotate(version, records.verdict(outcome), records.description(candidate, outcome))
    return outcome
