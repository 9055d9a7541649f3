"""Huffman decoding of header strings, a whole octet per step (RFC 7541, section 5.2 and appendix B).

hpack's table is a machine that takes four bits per step. Two of its steps joined give a machine that takes eight. Each
of its transitions is made when it is first met: all 65,536 would take a program's first call longer than the call.
"""

from __future__ import annotations

from hpack.huffman_table import HUFFMAN_COMPLETE, HUFFMAN_EMIT_SYMBOL, HUFFMAN_FAIL, HUFFMAN_TABLE

__all__ = ["HuffmanError", "decode_huffman"]

Transition = tuple[int, bytes, bool]
"""The next state, the octets that the step completes, and whether the string may end here (padding of ones only)."""

_FAILED = -1
_rows: list[list[Transition | None] | None] = [None] * 256
"""For each of the 256 states the transitions of the octets that were met in it."""
_transitions: dict[Transition, Transition] = {}


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


def decode_huffman(coded: bytes) -> bytes:
    """The octets that ``coded`` stands for. Raises HuffmanError."""
    state = 0
    complete = True
    out = []
    rows = _rows
    for octet in coded:
        row = rows[state]
        state, symbols, complete = (row[octet] if row is not None else None) or _learn(state, octet)
        if state < 0:
            raise HuffmanError("the string holds the code of EOS")
        out.append(symbols)
    if not complete:
        raise HuffmanError("the padding is longer than seven bits or not all ones")
    return b"".join(out)
