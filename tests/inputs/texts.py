"""Texts that people and their programs give: targets, durations, thresholds, proxies, configurations."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from puregrpc.channel.backends.proxy import parse_proxy
from puregrpc.channel.service_config.reading import parse_service_config
from puregrpc.channel.target import parse_target
from puregrpc.cli.requests import JsonSplitter, Splitter, TextSplitter
from puregrpc.client.params.durations import milliseconds
from puregrpc.errors import InvalidArgument, RemoteProtocolError
from puregrpc.load.problems import LoadError
from puregrpc.load.reading import seconds
from puregrpc.metrics.thresholds import parse_selector, parse_threshold
from puregrpc.wire.deadline import parse_timeout

__all__ = ["TEXTS"]

PIECE = 4096
"""Characters."""

FORMS: dict[str, Callable[[int], str]] = {
    "digits": lambda size: "9" * size,
    "digits and a unit": lambda size: "9" * size + "s",
    "an exponent": lambda size: "1e" + "9" * size,
    "points": lambda size: "1." * (size // 2),
    "minus signs": lambda size: "-" * size,
    "parts of a duration": lambda size: "1h" * (size // 2) + "x",
    "blanks": lambda size: "1" + " " * size + "x",
    "digits outside ASCII": lambda size: "\u0663" * size,
    "halves of pairs": lambda size: "\ud800" * size,
    "NULs": lambda size: "\0" * size,
    "a bound": lambda size: "p(95)" + " " * size + "<" + " " * size + "x",
    "a percentage": lambda size: f"p({'9' * size})<1",
    "tags": lambda size: f"a{{{'b:c,' * (size // 4)}}}",
    "braces": lambda size: "a" + "{" * size,
    "a port": lambda size: "host:" + "9" * size,
    "a port of zeros": lambda size: "[::1]:" + "0" * size,
    "zones": lambda size: f"[::1%{'%25' * (size // 3)}]:1",
    "colons": lambda size: ":" * size,
    "addresses": lambda size: "ipv4:" + "1.2.3.4:5," * (size // 10) + "1.1.1.1",
    "an open bracket": lambda size: "dns://[" + "a" * size,
    "a path": lambda size: "unix:" + "/" * size,
    "a user": lambda size: f"http://{'a' * size}:{'b' * size}@h:1",
    "at signs": lambda size: "http://" + "@" * size,
    "objects": lambda size: '{"a":' * (size // 5),
    "a timeout of many digits": lambda size: f'{{"methodConfig":[{{"timeout":"{"9" * size}s"}}]}}',
    "a size of many digits": lambda size: f'{{"methodConfig":[{{"maxRequestMessageBytes":{"9" * size}}}]}}',
    "values": lambda size: "{}" * (size // 2),
    "an array": lambda size: "[" + "0," * (size // 2) + "0]",
    "an object of strings": lambda size: "{" + '"\\\\":"]}",' * (size // 11) + '"a":0}',
    "a string": lambda size: '"' + "\\u0041" * (size // 6) + '"',
    "brackets in brackets": lambda size: "[]" * 2 + "[" + "[],{}," * (size // 6) + "0]",
    "an array that does not end": lambda size: "[" + "0," * (size // 2),
    "closing brackets": lambda size: "[" + "]" * size,
    "quotation marks": lambda size: '"' * size,
    "backslashes": lambda size: '"' + "\\" * size,
    "words": lambda size: "true " * (size // 5),
    "queries": lambda size: "dns:///h?" + "a=b&" * (size // 4),
    "percent signs": lambda size: "unix:" + "%" * size,
    "points and digits": lambda size: "ipv4:" + "1." * (size // 2) + ":1",
    "groups of IPv6": lambda size: "ipv6:[" + "1:" * (size // 2) + "]:1",
    "retries": lambda size: (
        '{"methodConfig":[{"retryPolicy":{"retryableStatusCodes":[' + '"ABORTED",' * (size // 10) + '"OK"]}}]}'
    ),
    "numbers": lambda size: "1 " * (size // 2),
    "record separators": lambda size: "a\x1e" * (size // 2),
    "methods": lambda size: (
        '{"methodConfig":[' + ",".join(f'{{"name":[{{"service":"s{number}"}}]}}' for number in range(size // 30)) + "]}"
    ),
    "balancers": lambda size: '{"loadBalancingConfig":[' + ",".join('{"nope":{}}' for _ in range(size // 12)) + "]}",
}


def in_pieces(splitter: Splitter, text: str, size: int = PIECE) -> list[str]:
    """The requests of a text that comes as standard input does."""
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    return [value for piece in pieces for value in splitter.feed(piece)] + list(splitter.feed("", final=True))


READERS: dict[str, Callable[[str], object]] = {
    "threshold": parse_threshold,
    "selector": parse_selector,
    "duration": milliseconds,
    "duration of a load run": lambda text: seconds(text, "duration"),
    "target": parse_target,
    "proxy": parse_proxy,
    "service config": parse_service_config,
    "requests": lambda text: list(JsonSplitter("-d").feed(text, final=True)),
    "requests in text format": lambda text: list(TextSplitter("-d").feed(text, final=True)),
    "requests in text format in pieces": lambda text: in_pieces(TextSplitter("-d"), text),
    "requests in pieces": lambda text: in_pieces(JsonSplitter("-d"), text, 500),
    "requests in small pieces": lambda text: in_pieces(JsonSplitter("-d"), text, 100),
    "grpc-timeout": lambda text: parse_timeout(text.encode("utf-8", "surrogatepass")),
}


def reading(read: Callable[[str], object], size: int) -> Callable[[], object]:
    texts = [form(size) for form in FORMS.values()]

    def run() -> None:
        for text in texts:
            with suppress(InvalidArgument, LoadError, RemoteProtocolError):
                read(text)

    return run


def entry(read: Callable[[str], object]) -> Callable[[int], Callable[[], object]]:
    return lambda size: reading(read, size)


TEXTS = {f"text: {name}": entry(read) for name, read in READERS.items()}
