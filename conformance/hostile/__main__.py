"""The hostile catalogue: ``python -m conformance.hostile [--short] [--part PART] [--kind KIND]... [NAME ...]``.

Parts: ``memory`` (connections in memory, each engine), ``servers`` (puregrpc's servers over sockets, and grpcio's and
grpc-go's as a yardstick), ``clients`` (hostile servers against puregrpc's clients), ``deadlines`` (calls' deadlines
under every flood, both sides), ``turns`` (a thousand calls that end at once), ``crowds`` (a thousand connections at
once, against puregrpc's servers), ``passing`` (connections by the thousand, each of which is dropped), ``inputs``
(sources, descriptors, messages, captures and texts, by how their cost grows). All of them by default. ``--short`` runs
samples within a minute. The tables go to the output.
"""

from __future__ import annotations

import argparse
import sys

from conformance.hostile import clients, crowds, deadlines, in_memory, inputs, over_sockets, passing, turns

PARTS = ("memory", "servers", "clients", "deadlines", "turns", "crowds", "passing", "inputs")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="the probes to run; all of them by default")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--kind", action="append", default=[], help="such as fast-trio; all of them by default")
    options = parser.parse_args()
    bad = 0
    for part in options.part or PARTS:
        print()
        if part == "memory":
            bad += 0 if options.short else in_memory.run(options.names, options.kind)
        elif part == "inputs":
            bad += inputs.run(is_short=options.short, names=options.names)
        elif part == "crowds":
            bad += crowds.run(is_short=options.short, names=options.names, kinds=options.kind)[1]
        else:
            module = {
                "servers": over_sockets, "clients": clients, "deadlines": deadlines, "turns": turns, "passing": passing
            }[part]  # fmt: skip
            bad += module.run(is_short=options.short, names=options.names, kinds=options.kind)[1]
    print(f"\n{bad} not ok")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
