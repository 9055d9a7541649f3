"""The table of the zoo: ``python -m conformance.fuzz [--short] [--whole] [--time SECONDS] [FAULT ...]``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from conformance.fuzz.one_run import METER, ROOT, SHOP, Run, fuzz

ZOO: dict[str, dict[str, tuple[str, ...]]] = {
    "grpcio_shop": {
        "crash-on-negative": ("process-ended",),
        "crash-on-long-text": ("process-ended",),
        "deep-nesting": ("process-ended",),
        "unknown-enum": ("internal-status",),
        "missing-message": ("internal-status",),
        "integer-overflow": ("internal-status",),
        "division": ("internal-status",),
        "bad-date": ("internal-status",),
        "pair": ("internal-status",),
        "offset": ("internal-status",),
        "stack-trace": ("leak-of-internals",),
        "file-name": ("leak-of-internals",),
        "hang-on-value": ("hang", "not-served"),
        "half-close-not-noticed": ("hang",),
        "allocates": ("memory",),
        "slow-pattern": ("cpu", "hang", "not-served"),
        "leak": ("memory",),
        "lock-kept-on-cancel": ("hang", "state", "not-served"),
        "state-after-cancel": ("state",),
        "bad-utf8": ("bad-reply",),
        "any-bearer": ("ignored-auth",),
        "internal-header": ("ignored-auth",),
        "unguarded-method": ("ignored-auth",),
        "guarded": (),
        "sound": (),
    },
    "grpcio_store": {
        "field-is-lost": ("property",),
        "digits-are-lost": ("property",),
        "text-is-cut": ("property", "state"),
        "sign-is-lost": ("property",),
        "one-for-all": ("state",),
        "key-in-ascii": ("property",),
        "first-one-stays": ("state",),
        "priority-in-a-byte": ("property",),
        "id-is-a-number": ("internal-status",),
        "echo-loses-a-field": ("property",),
        "echo-loses-doubles": ("property",),
        "slots-leak": ("state",),
        "hangs-on-nothing": ("hang",),
        "buffer-of-4096": ("process-ended",),
        "grows-with-each-call": ("memory",),
        "quadratic": ("cpu", "hang", "not-served"),
        "unicode": ("internal-status",),
        "secret-in-details": ("leak-of-internals",),
        "type-is-missing": ("bad-schema",),
        "sound": (),
    },
    "grpcio_library": {
        "answers-swapped": ("state",),
        "digits-are-lost": ("property",),
        "thirty-two-bits": ("property",),
        "another-encoding": ("property",),
        "file-for-each-call": ("limit-exceeded", "not-served"),
        "file-for-each-cancelled": ("limit-exceeded",),
        "thread-for-each-call": ("limit-exceeded", "memory"),
        "spins-from-then-on": ("cpu", "hang"),
        "grows-with-cancelled": ("memory",),
        "lock-kept-on-exception": ("hang", "not-served"),
        "last-caller-told": ("state",),
        "binary-metadata": ("internal-status",),
        "details-differ": ("bad-reply",),
        "oneof-not-set": ("internal-status",),
        "empty-key": ("internal-status",),
        "two-together": ("internal-status",),
        "file-is-read": ("leak-of-internals",),
        "filters-stay": ("state",),
        "offset-overflows": ("internal-status",),
        "unknown-type": ("process-ended",),
        "sleeps": ("hang", "not-served"),
        "recursion": ("internal-status",),
        "quick-one-lost": ("state", "protocol-violation"),
        "order-is-lost": ("state", "protocol-violation", "memory", "not-served"),
        "let-in-once": ("ignored-auth",),
        "streams-unguarded": ("ignored-auth",),
        "scheme-alone": ("ignored-auth",),
        "guarded": (),
        "sound": (),
    },
    "grpcio_orders": {
        "label-for-each-value": ("memory",),
        "metadata-twice": ("internal-status",),
        "sixty-fields": ("internal-status",),
        "time-left": ("internal-status",),
        "ring-of-sixteen": ("internal-status",),
        "lines-twice": ("internal-status",),
        "slot-backwards": ("internal-status",),
        "discount-is-a-name": ("internal-status",),
        "normalised": ("process-ended",),
        "twin-locks": ("hang", "not-served"),
        "due-is-late": ("internal-status",),
        "answer-for-each-id": ("memory",),
        "cached-by-prefix": ("state", "property"),
        "page-of-none": ("internal-status",),
        "sorted-by-anything": ("internal-status",),
        "not-a-number": ("internal-status",),
        "template": ("internal-status",),
        "padded": ("memory", "hang"),
        "two-to-the-power": ("cpu", "hang", "not-served"),
        "goes-on-when-cancelled": ("cpu", "limit-exceeded"),
        "second-of-a-stream": ("process-ended",),
        "steps-of-nothing": ("internal-status",),
        "two-hundred-samples": ("internal-status",),
        "no-samples": ("internal-status",),
        "revision-must-grow": ("internal-status",),
        "ends-in-silence": ("hang",),
        "reflection-lies": ("bad-reply",),
        "names-in-trailers": ("internal-status",),
        "same-customer-twice": ("internal-status",),
        "trailers-that-grow": ("protocol-violation", "memory", "state", "internal-status"),
        "sound": (),
    },
    "grpcio_accounts": {
        "same-id-twice": ("state", "property"),
        "digits-of-any-script": ("internal-status",),
        "keys-in-any-case": ("state", "property"),
        "keys-are-trimmed": ("state", "property"),
        "keys-in-one-form": ("state", "property"),
        "keys-are-cut": ("state", "property"),
        "time-zone": ("internal-status",),
        "lock-kept-after-deadline": ("hang", "not-served"),
        "kept-after-deadline": ("memory",),
        "cached-for-anybody": ("state",),
        "label-for-each-path": ("memory",),
        "value-of-no-kind": ("internal-status",),
        "mask-of-unknown": ("internal-status",),
        "day-of-leap-years": ("internal-status",),
        "sound": (),
    },
    "puregrpc_shop": {
        "shared-answer": ("state",),
        "room-is-lost": ("hang", "state", "not-served"),
        "blocks-the-loop": ("hang", "not-served"),
        "tasks-stay": ("memory",),
        "lock-kept-on-refusal": ("hang", "not-served"),
        "sound": (),
    },
    "aio_clinic": {
        "merged-into-the-old": ("property", "state"),
        "list-is-cut": ("property",),
        "search-hides-in-place": ("property", "state"),
        "query-ends-process": ("process-ended",),
        "amount-with-an-exponent": ("hang", "memory", "cpu", "not-served"),
        "any-number-of-times": ("hang", "memory", "not-served"),
        "step-in-seconds": ("internal-status",),
        "day-before-the-first": ("internal-status",),
        "followers-stay": ("memory",),
        "looks-for-remarks-for-ever": ("cpu",),
        "more-are-expected": ("hang", "cpu", "not-served"),
        "failed-task-ends-process": ("process-ended",),
        "trace-in-trailers": ("leak-of-internals",),
        "desk-is-lost": ("hang", "not-served"),
        "queue-without-end": ("memory",),
        "service-of-no-file": ("bad-schema",),
        "part-of-the-token": ("ignored-auth",),
        "browsers-are-let-in": ("ignored-auth",),
        "methods-by-their-end": ("ignored-auth",),
        "sound": (),
    },
    "grpcio_depot": {
        "quotes-are-escaped": ("property",),
        "beyond-the-plane": ("property",),
        "hold-in-milliseconds": ("property",),
        "nothing-before-1970": ("property",),
        "presence-is-lost": ("property",),
        "unknown-priority-is-none": ("property",),
        "single-precision": ("property",),
        "seal-as-text": ("property", "state"),
        "notes-without-names": ("property",),
        "tags-in-order": ("property",),
        "weight-from-decimals": ("property",),
        "key-of-the-refused": ("state", "property", "internal-status"),
        "page-loses-one": ("property",),
        "page-repeats-one": ("property",),
        "last-page-is-missing": ("property",),
        "visits-are-lost": ("state",),
        "paper-of-the-last-one": ("state",),
        "caller-of-the-connection": ("state",),
        "style-is-json": ("internal-status",),
        "style-is-a-format": ("internal-status",),
        "style-is-a-number": ("internal-status",),
        "columns-count-down": ("hang", "cpu", "not-served"),
        "words-of-a-line": ("internal-status",),
        "distance-of-anything": ("cpu", "hang", "not-served"),
        "places-one-by-one": ("hang", "not-served"),
        "last-line-is-empty": ("state", "protocol-violation", "property"),
        "lines-in-a-byte": ("state", "property"),
        "count-in-32-bits": ("internal-status",),
        "average-of-lines": ("internal-status",),
        "sound": (),
    },
    "grpcio_pantry": {
        "a-part-is-lost": ("property",),
        "part-weights-are-shared": ("property",),
        "labels-are-merged": ("state", "property"),
        "cached-after-update": ("state", "property"),
        "offset-off-by-one": ("property",),
        "offset-by-pages": ("property",),
        "offset-beyond-the-end": ("internal-status",),
        "limit-plus-one": ("property",),
        "prefix-is-a-pattern": ("internal-status",),
        "wrong-code": ("internal-status",),
        "failed-calls-are-kept": ("memory",),
        "response-of-another": ("state",),
        "first-line": ("internal-status",),
        "reduction-is-needed": ("internal-status",),
        "coupon-is-known": ("internal-status",),
        "rate-is-a-number": ("internal-status",),
        "rate-ends-process": ("process-ended",),
        "unit-has-a-name": ("internal-status",),
        "any-window": ("internal-status",),
        "chain-is-recursive": ("internal-status",),
        "trace-of-street": ("leak-of-internals",),
        "waits-for-the-first": ("hang",),
        "last-of-none": ("internal-status",),
        "watches-for-ever": ("hang",),
        "two-rooms": ("hang", "not-served"),
        "lock-kept-when-cancelled": ("hang", "state", "not-served"),
        "kind-is-needed": ("internal-status",),
        "ping-divides": ("internal-status",),
        "half-close-is-not-seen": ("hang",),
        "bytes-of-numbers": ("internal-status",),
        "expired-is-taken": ("ignored-auth",),
        "one-method-unguarded": ("ignored-auth",),
        "guarded": (),
        "sound-limited": (),
        "sound": (),
    },
    "grpcio_bookings": {
        "key-begins-alike": ("ignored-auth",),
        "lists-for-everybody": ("ignored-auth",),
        "key-in-any-metadata": ("ignored-auth",),
        "trace-parent": ("internal-status",),
        "tenant-is-needed": ("internal-status",),
        "binary-is-text": ("internal-status",),
        "email-in-two": ("internal-status",),
        "email-pattern": ("cpu", "hang", "not-served"),
        "state-by-number": ("internal-status",),
        "length-in-nanoseconds": ("internal-status",),
        "begins-some-day": ("internal-status",),
        "wishes-of-sixteen-bits": ("internal-status",),
        "extras-are-joined": ("internal-status",),
        "floor-is-a-divisor": ("internal-status",),
        "id-of-the-moment": ("state",),
        "price-is-a-float": ("property",),
        "number-by-way-of-a-float": ("property",),
        "begin-in-seconds": ("property",),
        "ten-extras": ("property",),
        "zero-floor-is-none": ("property",),
        "guest-in-latin": ("property",),
        "seal-is-stripped": ("property",),
        "seal-ends-with-zero": ("property",),
        "wish-of-nothing": ("property",),
        "history": ("memory",),
        "query": ("leak-of-internals",),
        "read-once": ("property",),
        "gone-is-cached": ("property",),
        "mask-by-name": ("internal-status",),
        "update-merges": ("property", "state"),
        "update-is-lost": ("property", "state"),
        "deleted-is-kept": ("property",),
        "deletes-its-neighbour": ("property",),
        "token-in-base64": ("internal-status",),
        "page-in-memory": ("memory",),
        "page-of-step": ("property",),
        "negative-page": ("internal-status",),
        "pages-overlap": ("property",),
        "deviation-of-one": ("internal-status",),
        "whole-numbers": ("internal-status",),
        "root": ("internal-status",),
        "scale-divides": ("internal-status",),
        "buckets-unset": ("internal-status",),
        "buckets-are-made": ("memory",),
        "highest-value": ("internal-status",),
        "template-is-a-file": ("leak-of-internals",),
        "template-is-formatted": ("internal-status",),
        "template-of-percents": ("internal-status",),
        "last-title": ("state",),
        "title-for-a-while": ("state",),
        "language-is-known": ("internal-status",),
        "catalogue-for-each-language": ("memory",),
        "wide": ("memory",),
        "waits-for-width": ("hang", "not-served"),
        "wraps-at-width": ("cpu", "hang", "not-served"),
        "cut-in-octets": ("internal-status",),
        "edits": ("cpu", "hang", "not-served"),
        "title-case": ("internal-status",),
        "exits": ("process-ended",),
        "content-is-needed": ("internal-status",),
        "amount-turned": ("internal-status",),
        "blob-is-text": ("internal-status",),
        "counts-twice": ("cpu", "hang", "not-served"),
        "forty-deep": ("internal-status",),
        "any-by-its-name": ("internal-status",),
        "any-is-a-guest": ("internal-status",),
        "kind-is-a-class": ("internal-status",),
        "subscribers-stay": ("memory",),
        "sixty-subscribers": ("hang", "state"),
        "waits-for-news": ("hang", "not-served"),
        "polls-for-ever": ("cpu", "hang", "not-served"),
        "until-an-empty-one": ("property",),
        "name-of-the-first": ("internal-status",),
        "first-part": ("internal-status",),
        "last-part-is-lost": ("property",),
        "ratio": ("internal-status",),
        "checksum-is-signed": ("internal-status",),
        "third-is-dropped": ("property",),
        "says-goodbye": ("property",),
        "who-is-kept": ("state",),
        "number-of-talk": ("internal-status",),
        "two-at-once": ("property",),
        "deleted-is-listed": ("state",),
        "place-lost-on-refusal": ("state",),
        "guarded": (),
        "sound": (),
    },
    "go@v1.85.0": {
        "index": ("process-ended",),
        "second-chunk": ("process-ended",),
        "two-at-a-time": ("hang", "not-served"),
        "deliver-at": ("process-ended",),
        "notes-by-name": ("process-ended",),
        "goroutine-for-each-cancelled": ("memory",),
        "concurrent-map": ("process-ended",),
        "lock-kept-on-error": ("hang", "not-served"),
        "leak": ("memory",),
        "metadata": ("process-ended",),
        "trace-in-details": ("leak-of-internals",),
        "make-slice": ("process-ended",),
        "nil-message": ("process-ended",),
        "quadratic": ("cpu", "hang"),
        "empty-upload": ("process-ended",),
        "waits-after-half-close": ("hang",),
        "buffer-of-the-last-one": ("state",),
        "token-is-an-index": ("process-ended",),
        "year-in-json": ("internal-status",),
        "last-four": ("process-ended",),
        "sends-on-closed": ("process-ended",),
        "unlocks-twice": ("process-ended",),
        "one-mistake-for-all": ("state",),
        "place-lost-on-cancel": ("hang", "not-served"),
        "timer-for-each-call": ("memory",),
        "pooled": ("state",),
        "cut-id": ("internal-status",),
        "expires": ("process-ended",),
        "recovered": ("hang", "not-served"),
        "filter-is-compiled": ("process-ended",),
        "least-number": ("process-ended",),
        "by-chance": ("process-ended",),
        "voucher-is-an-exponent": ("hang", "cpu"),
        "tabulated": ("process-ended",),
        "replaces-itself": ("process-ended",),
        "zip-of-five": ("process-ended",),
        "sends-for-ever": ("cpu",),
        "goroutine-for-each-line": ("memory",),
        "fourth-line": ("property",),
        "sound": (),
    },
    "node@1.14.7": {
        "json-in-metadata": ("process-ended", "internal-status"),
        "stack-in-status": ("leak-of-internals",),
        "slow-expression": ("cpu", "hang", "not-served"),
        "answers-twice": ("process-ended",),
        "names-of-objects": ("internal-status", "process-ended"),
        "listener-for-each-call": ("memory",),
        "timer-for-each-cancelled": ("cpu",),
        "cancel-ends-process": ("process-ended",),
        "second-chunk": ("process-ended",),
        "no-answer": ("hang",),
        "rejection": ("process-ended",),
        "unhandled-error": ("process-ended",),
        "kept-from-others": ("state",),
        "lock-kept-when-cancelled": ("hang", "not-served"),
        "decoded": ("internal-status",),
        "as-a-date": ("internal-status",),
        "answer-of-before": ("state",),
        "array-of-size": ("internal-status",),
        "parsed-token": ("internal-status",),
        "deep-copy": ("not-served", "hang"),
        "total-in-words": ("internal-status",),
        "orders-are-kept": ("memory",),
        "written-behind-its-end": ("process-ended",),
        "sound": (),
    },
    "java@1.83.1": {"sound": ()},
    "rust@0.14.9": {
        "aborts": ("process-ended",),
        "slices-text": ("internal-status", "protocol-violation"),
        "sound": (),
    },
    "raw_shop": {
        "unknown-frame-ends-process": ("process-ended",),
        "many-unknown-frames-end-process": ("process-ended",),
        "unknown-frame-ends-connection": ("protocol-violation",),
        "settings-size-ends-process": ("process-ended",),
        "reset-unknown-ends-process": ("process-ended",),
        "accept-loop-ends": ("process-ended", "not-served"),
        "one-connection-at-a-time": ("not-served",),
        "too-many-streams": ("limit-exceeded",),
        "header-block-without-end": ("limit-exceeded", "memory"),
        "header-bomb": ("memory", "cpu", "not-served"),
        "thread-for-each-reset": ("limit-exceeded", "memory"),
        "half-close-not-noticed": ("hang",),
        "deadline-ignored": ("hang",),
        "path-without-slash": ("accepted-invalid",),
        "short-message": ("accepted-invalid",),
        "no-trailers": ("protocol-violation",),
        "wrong-length": ("protocol-violation", "bad-reply"),
        "upper-case-field": ("protocol-violation",),
        "data-on-other-stream": ("protocol-violation",),
        "window-ignored": ("protocol-violation",),
        "wrong-pong": ("protocol-violation",),
        "settings-not-acknowledged": ("protocol-violation",),
        "ping-not-answered": ("protocol-violation",),
        "padding-ends-process": ("process-ended",),
        "table-of-600-streams": ("process-ended",),
        "late-data-ends-process": ("process-ended",),
        "windows-not-opened": ("hang",),
        "one-stream-at-a-time": ("hang",),
        "compressed-anyway": ("protocol-violation",),
        "no-content-type": ("protocol-violation",),
        "two-statuses": ("protocol-violation",),
        "message-not-coded": ("protocol-violation",),
        "http-500": ("protocol-violation",),
        "room-lost-with-resets": ("hang",),
        "padding-is-kept": ("hang",),
        "new-window-for-new-streams": ("hang",),
        "table-is-kept": ("protocol-violation",),
        "no-trailers-of-errors": ("protocol-violation",),
        "goaway-ends-process": ("process-ended",),
        "sockets-not-closed": ("limit-exceeded", "not-served"),
        "forty-connections": ("not-served",),
        "short-header-lists-are-faults": ("protocol-violation",),
        "priority-ends-connection": ("protocol-violation",),
        "request-trailers-end-process": ("process-ended",),
        "closes-behind-two-hundred-calls": ("protocol-violation",),
        "prefix-in-one-frame": ("state", "protocol-violation", "internal-status"),
        "paths-in-any-case": ("accepted-invalid",),
        "two-heads": ("protocol-violation",),
        "status-in-words": ("protocol-violation",),
        "data-behind-trailers": ("protocol-violation",),
        "spins-behind-a-reset": ("cpu",),
        "spins-behind-an-end": ("cpu",),
        "waits-for-the-preface": ("not-served",),
        "spins-without-a-window": ("cpu", "hang", "not-served"),
        "room-lost-with-errors": ("hang",),
        "long-timeouts-overflow": ("hang", "state", "property", "accepted-invalid", "protocol-violation"),
        "frames-too-long": ("protocol-violation",),
        "no-message-with-ok": ("bad-reply", "protocol-violation"),
        "two-messages": ("bad-reply", "protocol-violation"),
        "flag-is-ignored": ("accepted-invalid",),
        "room-for-its-prefix": ("memory",),
        "second-message-ends-process": ("process-ended",),
        "sixty-four-fields": ("process-ended",),
        "value-of-4096": ("process-ended",),
        "path-of-255": ("process-ended",),
        "numbers-of-16-bits": ("process-ended",),
        "no-body-ends-process": ("process-ended",),
        "coding-is-known": ("process-ended",),
        "dependency-of-itself": ("process-ended",),
        "length-is-believed": ("memory",),
        "pings-are-kept": ("memory",),
        "two-hundred-connections": ("process-ended",),
        "window-beyond": ("protocol-violation",),
        "sound": (),
    },
    "loop_meter": {
        "texts-end-process": ("process-ended",),
        "texts-end-process-later": ("process-ended",),
        "writes-wait": ("not-served", "process-ended"),
        "resets-end-process": ("process-ended",),
        "bad-blocks-end-process": ("process-ended",),
        "ring-of-priorities": ("not-served", "hang", "cpu"),
        "frames-of-nothing": ("not-served", "hang", "cpu", "memory"),
        "trailers-are-not-the-end": ("protocol-violation",),
        "settings-come-second": ("protocol-violation",),
        "windows-of-nothing": ("protocol-violation",),
        "status-comes-last": ("protocol-violation",),
        "keeps-alive": ("protocol-violation",),
        "length-of-content": ("protocol-violation",),
        "coding-of-its-own": ("protocol-violation",),
        "details-in-no-base64": ("bad-reply",),
        "answers-to-answers": ("protocol-violation",),
        "table-without-end": ("accepted-invalid", "memory"),
        "even-numbers": ("accepted-invalid",),
        "numbers-go-back": ("accepted-invalid",),
        "windows-of-idle-streams": ("hang", "memory"),
        "calls-are-kept": ("memory",),
        "sound": (),
    },
}
"""Server -> fault -> the checks of which one is to find it; nothing is to be found where there are none.

A server with a version is a shop on another implementation, which is built first.
"""

SHORT = {
    ("grpcio_shop", "crash-on-negative"),
    ("grpcio_shop", "any-bearer"),
    ("grpcio_shop", "sound"),
    ("raw_shop", "unknown-frame-ends-process"),
}
PINNED = {"rust@0.14.9": "h2@0.4.18"}
"""What a shop is built with beside its implementation."""
GUARDED = {
    "guarded", "any-bearer", "internal-header", "unguarded-method", "let-in-once", "streams-unguarded", "scheme-alone",
    "part-of-the-token", "browsers-are-let-in", "methods-by-their-end", "expired-is-taken", "one-method-unguarded",
}  # fmt: skip

BOOKINGS_GUARDED = {"guarded", "key-begins-alike", "lists-for-everybody", "key-in-any-metadata"}


@lru_cache
def command_of(animal: str) -> str:
    """The command that serves, but for the port and the fault."""
    if "@" not in animal:
        return f"{sys.executable} -m conformance.fuzz.zoo.{animal}"
    done = subprocess.run(
        [str(ROOT / "conformance/fuzz/shops/get"), animal], env={**os.environ, "MORE": PINNED.get(animal, "")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{animal} cannot be built:\n{done.stderr[-2000:]}")
    return done.stdout.splitlines()[-1]


def run(animal: str, fault: str, seconds: float, *, is_whole: bool) -> Run:
    """Look for the fault of an animal."""
    more: list[str] = []
    if animal == "raw_shop" or "@" in animal:
        more += ["--proto", str(SHOP)]
    if animal == "raw_shop":
        more += ["--method", "*GetItem"]
    if animal == "loop_meter":
        more += ["--proto", str(METER)]
    if fault == "queue-without-end":
        more += ["--level", "frame", "--method", "*Talk"]
    elif animal == "aio_clinic" and fault not in GUARDED:
        # A path that is no UTF-8 ends each server on grpc.aio 1.85.3.
        more += ["--level", "schema,sequence"]
    if fault == "one-method-unguarded" or animal == "grpcio_bookings":
        more += ["--allow-destructive"]
    if animal == "grpcio_bookings" and fault in BOOKINGS_GUARDED:
        more += ["--credentials", "x-api-key: k-12345678"]
    elif fault in GUARDED:
        more += ["--credentials", "authorization: Bearer letmein"]
    checks = ZOO[animal][fault]
    return fuzz(
        f"{command_of(animal)} {{port}} {fault}", seconds, lambda check, _: check in checks,
        is_whole=is_whole, more=more,
    )  # fmt: skip


def main() -> int:
    """Run the zoo; 1 if an animal was not told right."""
    parser = argparse.ArgumentParser(prog="python -m conformance.fuzz")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--time", type=float, default=0.0)
    parser.add_argument("--whole", action="store_true", help="do not end runs with what is looked for")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--server", default="", help="only the animals of this one")
    parser.add_argument("faults", nargs="*")
    arguments = parser.parse_args()
    seconds = arguments.time or (10.0 if arguments.short else 60.0)
    chosen = [
        (animal, fault)
        for animal, faults in ZOO.items()
        for fault in faults
        if (not arguments.faults or fault in arguments.faults)
        and (not arguments.server or animal.startswith(arguments.server))
        and (not arguments.short or (animal, fault) in SHORT)
    ]
    wrong = 0
    print("| server | fault | found by | after | |\n|---|---|---|--:|---|")
    for animal in dict(chosen):
        command_of(animal)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for (animal, fault), done in zip(
            chosen, pool.map(lambda each: run(each[0], each[1], seconds, is_whole=arguments.whole), chosen), strict=True
        ):
            right = ZOO[animal][fault]
            ok = done.when is not None if right else not done.found and not done.failure
            wrong += not ok
            shown = done.failure or ", ".join(sorted({check for check, _ in done.found})) or "nothing"
            after = f"{done.seconds if done.when is None else done.when:.0f} s"
            print(f"| {animal} | {fault} | {shown} | {after} | {'' if ok else 'WRONG'} |", flush=True)
            for check, text in done.found:
                if check not in right:
                    print(f"{animal} {fault}: {check} besides: {text}", file=sys.stderr, flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
