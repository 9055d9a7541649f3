"""Huffman decoding of header strings, a whole octet per step (RFC 7541, section 5.2 and appendix B).

hpack's table is a machine that takes four bits per step. Two of its steps joined give a machine that takes eight. Each
of its transitions is made when it is first met: all 65,536 would take a program's first call longer than the call.
"""

from __future__ import annotations

from collections.abc import Generator

from hpack.huffman_table import HUFFMAN_COMPLETE, HUFFMAN_EMIT_SYMBOL, HUFFMAN_FAIL, HUFFMAN_TABLE

from puregrpc.wire.limits import LONG_CODED_STRING

__all__ = ["HuffmanError", "LongStrings", "NotDecodedError", "decode_huffman"]

Transition = tuple[int, bytes, bool]
"""The next state, the octets that the step completes, and whether the string may end here (padding of ones only)."""

_FAILED = -1
_rows: list[list[Transition | None] | None] = [None] * 256
"""For each of the 256 states the transitions of the octets that were met in it."""
_transitions: dict[Transition, Transition] = {}


_WRONG_PADDING = "the padding is longer than seven bits or not all ones"


class HuffmanError(ValueError):
    """A string is not Huffman-coded text, or its padding is not what section 5.2 asks for."""


def _step(state: int, nibble: int) -> tuple[int, bytes, int]:
    following, flags, symbol = HUFFMAN_TABLE[state * 16 + nibble]
    return following, bytes((symbol,)) if flags & HUFFMAN_EMIT_SYMBOL else b"", flags


def _learn(state: int, octet: int) -> Transition:
    row = _rows[state]
    if row is None:
        row = _rows[state] = [None] * 256
    middle, first, first_flags = _step(state, octet >> 4)
    last, second, flags = _step(middle, octet & 15)
    if (first_flags | flags) & HUFFMAN_FAIL:
        transition = (_FAILED, b"", False)
    else:
        transition = (last, first + second, bool(flags & HUFFMAN_COMPLETE))
    row[octet] = transition = _transitions.setdefault(transition, transition)
    return transition


def _decode(coded: bytes, state: int) -> tuple[bytes, int, bool]:
    """What the machine makes of octets from ``state`` on, its next state, and whether the string may end there."""
    complete = True
    out = []
    rows = _rows
    for octet in coded:
        row = rows[state]
        state, symbols, complete = (row[octet] if row is not None else None) or _learn(state, octet)
        if state < 0:
            raise HuffmanError("the string holds the code of EOS")
        out.append(symbols)
    return b"".join(out), state, complete


def decode_huffman(coded: bytes) -> bytes:
    """The octets that ``coded`` stands for. Raises HuffmanError."""
    octets, _, complete = _decode(coded, 0)
    if not complete:
        raise HuffmanError(_WRONG_PADDING)
    return octets


class NotDecodedError(Exception):
    """A string is too long to be decoded at once: `LongStrings.decoding` is to be run first."""


class LongStrings:
    """The long strings of a field that is being read: each is decoded in steps, and the field then read again."""

    __slots__ = ("_coded", "_decoded")

    def __init__(self) -> None:
        self._coded = b""
        self._decoded: dict[bytes, bytes] = {}

    def get(self, coded: bytes) -> bytes:
        """The octets that ``coded`` stands for. Raises NotDecodedError, or HuffmanError."""
        if len(coded) <= LONG_CODED_STRING:
            return decode_huffman(coded)
        octets = self._decoded.get(coded)
        if octets is None:
            self._coded = coded
            raise NotDecodedError
        return octets

    def decoding(self) -> Generator[None, None, None]:
        """Decode the string that was asked for last, in steps. Raises HuffmanError."""
        coded, state, complete = self._coded, 0, True
        parts = []
        for start in range(0, len(coded), LONG_CODED_STRING):
            octets, state, complete = _decode(coded[start : start + LONG_CODED_STRING], state)
            parts.append(octets)
            yield
        if not complete:
            raise HuffmanError(_WRONG_PADDING)
        self._decoded[coded] = b"".join(parts)

    def forget(self) -> None:
        """The field has been read."""
        self._decoded.clear()
