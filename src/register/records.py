"""What the gate found, as it is kept beside a version in the registry."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from src.evaluation.predictions import fingerprint
from src.inference.usage import Usage, sha256
from src.register.candidate import Candidate
from src.register.gate import Check
from src.tracking.git import person
from src.tracking.registry import CHAMPION, IDENTITY, MODEL, Package

EXAMPLES = 2  # test images that are kept beside the model, in the form in which it is asked


@dataclass(frozen=True)
class Outcome:
    """What became of a model, or would become of it but for the dry run.

    version: None if there is none of it; known: whether there was one before; alias: None for a
    model that was not let in; before: the champion that was found; why: of a champion that has not
    passed the gate.
    """

    version: int | None
    known: bool
    alias: str | None
    before: int | None
    why: str | None
    checks: tuple[Check, ...]
    dry_run: bool

    @property
    def refused(self) -> bool:
        return self.alias != CHAMPION

    @property
    def reasons(self) -> list[str]:
        return [check.told for check in self.checks if not check.passed]

    @property
    def verdict(self) -> str:
        """One line."""
        name = f"version {self.version} of {MODEL}" if self.version else f"a version of {MODEL}"
        verb, because = "would be" if self.dry_run else "is", "; ".join(self.reasons)
        if self.alias is None:
            return f"not registered: {because}"
        if self.alias != CHAMPION:
            return f"{name} {verb} {self.alias}, not {CHAMPION}: {because}"
        if self.known and self.version == self.before:
            return f"{name} is {CHAMPION} already"
        place = f"in place of version {self.before}" if self.before else "the first"
        spite = f", forced, despite: {because}" if self.why else ""
        return f"{name} {verb} {CHAMPION}, {place}{spite}"

    def as_tree(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"model": MODEL, **asdict(self), "reasons": self.reasons, "verdict": self.verdict}


def identity(usage: Usage) -> str:
    """Of the weights with all that belongs to their use."""
    return sha256(json.dumps(usage.as_tree(), sort_keys=True).encode())


def package(candidate: Candidate) -> Package:
    usage, pixels = candidate.usage, candidate.tests.images[:EXAMPLES].numpy()
    about = {
        "classes": [*usage.classes],
        "weights": usage.weights,
        "home": usage.home,
        "furthest": usage.furthest,
    }
    return Package(candidate.content, pixels, candidate.export.run(pixels)._asdict(), about)


def origin(candidate: Candidate) -> dict[str, str]:
    """Tags: what a version is made of."""
    steps = (*candidate.lineage.made_by, *candidate.lineage.used_by)
    commits = [step.commit for step in steps if step.commit]
    return {
        "weights": str(candidate.weights),
        "weights.sha256": candidate.usage.weights,
        IDENTITY: identity(candidate.usage),
        f"test.{candidate.subject.home}": fingerprint(candidate.tests),
        **({"made.commit": commits[0]} if commits else {}),
        **{f"upstream.{step.name}": step.run for step in steps if step.run},
    }


def verdict(outcome: Outcome) -> dict[str, str]:
    """Tags: what the gate found, when, and who asked."""
    return {
        "verdict": outcome.verdict,
        "judged.by": person(),
        "judged.at": datetime.now(UTC).isoformat(timespec="seconds"),
        **{
            f"{check.name}.{key}": f"{value:.6g}"
            for check in outcome.checks
            for key, value in check.figures.items()
        },
        **_forced(outcome),
    }


def _forced(outcome: Outcome) -> dict[str, str]:
    if outcome.why is None:
        return {}
    return {
        "forced.by": person(),
        "forced.why": outcome.why,
        "forced.checks": ", ".join(check.name for check in outcome.checks if not check.passed),
    }


def description(candidate: Candidate, outcome: Outcome) -> str:
    """Markdown, for MLflow's page of the version."""
    lines = [f"**{outcome.verdict}**. `{candidate.weights}`, SHA-256 {candidate.usage.weights}."]
    if outcome.why is not None:
        lines.append(f"Forced by {person()}: {outcome.why}")
    marks = {True: "passed", False: "not passed"}
    lines += [f"- {marks[check.passed]}: {check.told}" for check in outcome.checks]
    return "\n".join(lines)
