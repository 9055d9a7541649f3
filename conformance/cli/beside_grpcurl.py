"""Each command, as grpcurl and as puregrpc have it, against grpc-go's and grpcio's servers, with the answers compared.

What is compared: the lines of lists; declarations without the blanks and leading dots that grpcurl writes, in any
order; JSON values; exit status, and code and message of a call that fails. Usage: beside_grpcurl.py FOLDER_OF_PEERS
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from conformance.trace.conversations import PROTOS, free_port, running

REQUEST = '{"responseSize": 10, "payload": {"body": "aGVsbG8="}}'
STREAM = '{"responseParameters": [{"size": 3}, {"size": 5}], "payload": {"body": "AAEC"}}'
FAIL = '{"responseStatus": {"code": 7, "message": "not you: \\u20ac"}}'
JOE = "authorization: token joe"
GRPCIO = "grpc.testing.TestService"
GO = "testing.TestService"


@dataclass
class Answer:
    """What a program printed, and how it exited."""

    status: int
    out: str
    err: str


@dataclass
class Case:
    """One question put to both: their arguments (TARGET is the address) and what of the answers counts."""

    server: str
    grpcurl: list[str]
    ours: list[str]
    meaning: Callable[[Answer], object]
    stdin: str = ""


def lines(answer: Answer) -> object:
    return answer.status, answer.out.splitlines()


def declaration(answer: Answer) -> object:
    text = re.sub(r"\s*([(){};])\s*", r"\1", answer.out.replace("( .", "(").replace(" .", " "))
    text = re.sub(r"([(<, ])\.(?=\w)", r"\1", text).replace("stream .", "stream ")
    return answer.status, sorted(re.split(r"[;{}\n]", text))


def values(answer: Answer) -> object:
    decoder = json.JSONDecoder()
    found = []
    rest = answer.out.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        found.append(value)
        rest = rest[end:].strip()
    return answer.status, found


def without_number(answer: Answer) -> object:
    """The values but for the account's number, which the bank gives to each account anew."""
    return re.sub(r'"accountNumber": "\d+",', "", answer.out)


def template(answer: Answer) -> object:
    _, _, text = answer.out.partition("emplate:")
    return answer.status, json.loads(text)


def status(answer: Answer) -> object:
    """The code and message of a failed call: of grpcurl's lines, or of ours."""
    theirs = re.search(r"Code: (\w+)\n\s+Message: (.*)", answer.err)
    if theirs is not None:
        words = "_".join(re.findall(r"[A-Z][a-z]+", theirs[1])).upper()
        return answer.status, words, theirs[2].strip()
    mine = re.search(r"puregrpc: ([A-Z_]+) \(\d+\)(?:: (.*))?", answer.err)
    return answer.status, mine[1] if mine else answer.err, (mine[2] or "").strip() if mine else ""


def only_status(answer: Answer) -> object:
    return answer.status


def call(
    server: str,
    method: str,
    meaning: Callable[[Answer], object] = values,
    *,
    data: str | None = None,
    stdin: str = "",
    options: tuple[tuple[str, str, str], ...] = (),
) -> Case:
    """A call; ``options`` are their name, our name, and the value."""
    theirs, mine = [], []
    for one, other, value in options:
        theirs += [one, value]
        mine += [other, value]
    given = [] if data is None else ["-d", data]
    return Case(
        server,
        ["-plaintext", *theirs, *given, "TARGET", method],
        ["call", "-p", *mine, *given, "TARGET", method],
        meaning,
        stdin,
    )


def cases() -> list[Case]:
    found = [
        Case(server, ["-plaintext", "TARGET", "list"], ["list", "-p", "TARGET"], lines)
        for server in ("bank", "grpc-go", "grpcio")
    ]
    for server, service in (("bank", "Bank"), ("bank", "Support"), ("grpc-go", GO), ("grpcio", GRPCIO)):
        found.append(Case(server, ["-plaintext", "TARGET", "list", service], ["list", "-p", "TARGET", service], lines))
    for server, symbol in (
        ("bank", "Bank"), ("bank", "Account"), ("bank", "Account.Type"), ("bank", "OpenAccountRequest"),
        ("bank", "ChatAgentRequest"), ("grpc-go", GO), ("grpc-go", "testing.SimpleRequest"),
        ("grpc-go", "testing.PayloadType"), ("grpc-go", f"{GO}.FullDuplexCall"), ("grpcio", GRPCIO),
        ("grpcio", "grpc.testing.SimpleResponse"), ("grpcio", "grpc.testing.LoadBalancerStatsResponse"),
    ):  # fmt: skip
        ours = ["describe", "-p", "TARGET", symbol]
        found.append(Case(server, ["-plaintext", "TARGET", "describe", symbol], ours, declaration))
    for server, symbol in (("bank", "Account"), ("grpcio", "grpc.testing.StreamingOutputCallRequest")):
        ours = ["describe", "-p", "TARGET", symbol, "--template"]
        found.append(Case(server, ["-plaintext", "-msg-template", "TARGET", "describe", symbol], ours, template))
    found += [
        call("bank", "Bank.GetAccounts", status),
        call("bank", "Bank.GetAccounts", options=(("-H", "-H", JOE),)),
        call("bank", "Bank.OpenAccount", without_number, data='{"type": "SAVING", "initialDepositCents": 500000}',
             options=(("-H", "-H", JOE),)),
        call("bank", "Bank/OpenAccount", status, data='{"type": "UNKNOWN"}', options=(("-H", "-H", JOE),)),
        call("grpc-go", f"{GO}/EmptyCall"),
        call("grpc-go", f"{GO}/UnaryCall", data='{"payload": {"body": "aGVsbG8="}}'),
        call("grpc-go", f"{GO}/StreamingOutputCall", data=STREAM),
        call("grpc-go", f"{GO}/StreamingInputCall", data='{"payload": {"body": "AAEC"}}\n{"payload": {}}'),
        call("grpc-go", f"{GO}/FullDuplexCall", data="@", stdin=f"{STREAM}\n{STREAM}"),
        call("grpc-go", f"{GO}/UnimplementedCall", only_status),
        call("grpc-go", f"{GO}/UnaryCall", status, data="{}", options=(("-H", "-H", "fail-early: 5"),)),
        call("grpc-go", f"{GO}/UnaryCall", only_status, data='{"nothing": 1}'),
        call("grpc-go", f"{GO}/Nothing", only_status),
        call("grpcio", f"{GRPCIO}/EmptyCall"),
        call("grpcio", f"{GRPCIO}/UnaryCall", data=REQUEST),
        call("grpcio", f"{GRPCIO}/UnaryCall", data=REQUEST, options=(("-max-time", "--max-time", "5"),)),
        call("grpcio", f"{GRPCIO}/UnaryCall", status, data=FAIL),
        call("grpcio", f"{GRPCIO}/StreamingOutputCall", data=STREAM),
        call("grpcio", f"{GRPCIO}/StreamingInputCall", data='{"payload": {"body": "AAEC"}} {"payload": {}}'),
        call("grpcio", f"{GRPCIO}/FullDuplexCall", data="@", stdin=f"{STREAM}{STREAM}"),
        call("grpcio", f"{GRPCIO}/FullDuplexCall", status, data=FAIL),
    ]  # fmt: skip
    files = ["-import-path", str(PROTOS), "-proto", "grpc/testing/test.proto"]
    ours = ["--proto", "grpc/testing/test.proto", "-I", str(PROTOS)]
    found += [
        Case("grpcio", [*files, "list"], ["list", *ours], lines),
        Case("grpcio", [*files, "describe", "grpc.testing.Payload"],
             ["describe", *ours, "grpc.testing.BoolValue"], only_status),
        Case("grpcio", ["-plaintext", *files, "-d", REQUEST, "TARGET", f"{GRPCIO}/UnaryCall"],
             ["call", "-p", *ours, "-d", REQUEST, "TARGET", f"{GRPCIO}/UnaryCall"], values),
    ]  # fmt: skip
    return found


def run(command: list[str], stdin: str) -> Answer:
    made = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
    return Answer(made.returncode, made.stdout, made.stderr)


def main() -> int:
    peers = Path(sys.argv[1])
    differ = 0
    with tempfile.TemporaryDirectory() as folder:
        bank, go = free_port(), free_port()
        bank_command = [str(peers / "bankdemo"), "-port", str(bank), "-datafile", f"{folder}/accounts"]
        go_command = [str(peers / "testserver"), "-q", "-p", str(go)]
        grpcio_command = [sys.executable, "-u", "-m", "conformance.cli.grpcio_server"]
        with running(*bank_command, until=bank), running(*go_command, until=go), running(*grpcio_command) as line:
            ports = {"bank": bank, "grpc-go": go, "grpcio": int(line.strip().rpartition(":")[2])}
            for case in cases():
                target = f"127.0.0.1:{ports[case.server]}"
                theirs, mine = (
                    run([*program, *(target if word == "TARGET" else word for word in words)], case.stdin)
                    for program, words in (
                        ([str(peers / "grpcurl")], case.grpcurl),
                        ([sys.executable, "-m", "puregrpc"], case.ours),
                    )
                )
                one, other = case.meaning(theirs), case.meaning(mine)
                same = one == other
                differ += not same
                words = (word.replace(str(PROTOS), PROTOS.name) for word in case.ours if word != "TARGET")
                shown = " ".join(word if len(word) < 40 else "…" for word in words)
                print(f"{case.server:<8} {shown:<84.84} {'same' if same else 'DIFFERENT'}")
                if not same:
                    print(f"  grpcurl:  {one}\n  puregrpc: {other}\n  {theirs.err.strip()}\n  {mine.err.strip()}")
    print(f"{len(cases())} questions, {differ} answered differently")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
