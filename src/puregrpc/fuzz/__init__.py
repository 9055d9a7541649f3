"""Hostile input, as data: what a peer may send that no sound peer sends, and what a sound receiver makes of it."""

from __future__ import annotations
