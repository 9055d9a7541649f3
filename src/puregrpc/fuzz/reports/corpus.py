"""Cases in files: what was found, and what was worth a look, to be tried first the next time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from puregrpc.errors import InvalidArgument
from puregrpc.fuzz.cases.case import FORM, Case, case_from_json, case_to_json
from puregrpc.fuzz.engine.findings import Finding

__all__ = ["Corpus", "read_baseline", "read_replay"]

MOST_INTERESTING = 500


class Corpus:
    """A folder with one JSON file for each case."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def cases(self) -> Iterator[Case]:
        """Every case of the folder, those of findings first. Raises InvalidArgument for a file that is none."""
        if not self._folder.exists():
            return
        if not self._folder.is_dir():
            raise InvalidArgument(f"--corpus {self._folder}: not a folder")
        for path in sorted(self._folder.glob("*.json"), key=lambda path: (path.name.startswith("seen-"), path.name)):
            yield case_from_json(_read(path)["case"])

    def add(self, findings: Iterable[Finding], interesting: Iterable[Case]) -> None:
        """Keep cases. Raises OSError if they cannot be written."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for finding in findings:
            self._write(f"{finding.check}-{finding.id}", finding.case, check=finding.check, id=finding.id)
        room = MOST_INTERESTING - sum(1 for _ in self._folder.glob("seen-*.json"))
        for case in interesting:
            if room <= 0:
                return
            text = json.dumps(case_to_json(case), sort_keys=True)
            name = f"seen-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
            if not (self._folder / f"{name}.json").exists():
                self._write(name, case)
                room -= 1

    def _write(self, name: str, case: Case, **more: str) -> None:
        value = {"form": FORM, **more, "case": case_to_json(case)}
        (self._folder / f"{name}.json").write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"{path}: not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidArgument(f"{path}: not what puregrpc fuzz writes")
    return value


def read_replay(file: str) -> tuple[str, list[tuple[str, str, Case]]]:
    """The target and the cases, each with its check and id, of a JSON report or of one file of a corpus.

    Raises OSError if it cannot be read, InvalidArgument if it is none of both.
    """
    value = _read(Path(file))
    if "findings" in value:
        try:
            return str(value.get("target", "")), [
                (each["check"], each["id"], case_from_json(each["replay"])) for each in value["findings"]
            ]
        except (KeyError, TypeError):
            raise InvalidArgument(f"{file}: not a report of puregrpc fuzz") from None
    if value.get("form") == FORM:
        return "", [(str(value.get("check", "")), str(value.get("id", "")), case_from_json(value["case"]))]
    raise InvalidArgument(f"{file}: neither a report of puregrpc fuzz nor a case of its corpus")


def read_baseline(file: str) -> set[str]:
    """The ids of accepted findings: of a JSON report, or of a list of ids.

    Raises OSError if it cannot be read, InvalidArgument if it is none of both.
    """
    try:
        value: object = json.loads(Path(file).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"{file}: not JSON: {error}") from None
    entries = value.get("findings") if isinstance(value, Mapping) else value
    if not isinstance(entries, list):
        raise InvalidArgument(f"{file}: a baseline is a JSON report of puregrpc fuzz, or a list of ids")
    ids = {each["id"] if isinstance(each, Mapping) and "id" in each else each for each in entries}
    if not all(isinstance(each, str) for each in ids):
        raise InvalidArgument(f"{file}: a baseline's findings have ids")
    return {str(each) for each in ids}
