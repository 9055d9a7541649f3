"""Findings and the events of a run: what the engine says, for those who print and report."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from puregrpc.fuzz.cases.case import Case
from puregrpc.fuzz.checks.words import CHECKS, Check, Observation

__all__ = ["Event", "Finding", "Found", "Note", "Progress", "Report"]


@dataclass(slots=True)
class Finding:
    """A fault: what was seen, and the smallest case that shows it."""

    check: Check
    level: str
    method: str
    severity: str
    summary: str
    reference: str
    case: Case
    shape: tuple[str, ...] = ()
    """The fields that matter, by name."""
    repeats: int = 0
    """How often it was seen again, on fresh connections."""
    note: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The same for the same fault in other runs: of the check, the method and the shape of the case."""
        kind = self.case.about if self.level != "schema" else ""
        text = "\n".join((self.check, self.level, self.method, ",".join(self.shape), kind))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(slots=True)
class Report:
    """The result of a run."""

    target: str
    seed: int
    seconds: float = 0.0
    cases: int = 0
    methods: dict[str, dict[str, Any]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    accepted: list[Finding] = field(default_factory=list)
    """Findings that the baseline has."""
    notes: list[str] = field(default_factory=list)
    restarts: int = 0
    phases: dict[str, int] = field(default_factory=dict)
    """How many cases each phase has sent."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is."""

    phase: str
    cases: int
    seconds: float
    findings: int


@dataclass(frozen=True, slots=True)
class Found:
    """A finding counts from now on."""

    finding: Finding


@dataclass(frozen=True, slots=True)
class Note:
    """Something that the user is told, and that is no finding."""

    text: str


Event = Progress | Found | Note


def finding_of(case: Case, observation: Observation) -> Finding:
    """A finding as it is first seen."""
    severity = observation.severity or case.severity or CHECKS[observation.check]
    reference = observation.reference or case.reference
    return Finding(observation.check, case.level, case.method, severity, observation.summary, reference, case)
