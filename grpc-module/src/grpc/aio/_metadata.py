"""Metadata as a mapping of names that may come again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, ItemsView, Iterable, Iterator, KeysView, Sequence, ValuesView
from typing import Any

__all__ = ["Metadata"]

MetadataKey = str
MetadataValue = str | bytes
MetadatumType = tuple[MetadataKey, MetadataValue]


class Metadata(Collection[Any]):
    """Metadata in order. A name stands for its first value; iterating gives pairs."""

    def __init__(self, *args: tuple[str, str | bytes]) -> None:
        self._metadata: OrderedDict[str, list[str | bytes]] = OrderedDict()
        for key, value in args:
            self.add(key, value)

    @classmethod
    def from_tuple(cls, raw_metadata: Any) -> Metadata:
        """From pairs, or None."""
        return cls(*raw_metadata) if raw_metadata else cls()

    @classmethod
    def _create(cls, raw_metadata: Any) -> Metadata:
        return raw_metadata if isinstance(raw_metadata, Metadata) else cls.from_tuple(raw_metadata)

    def add(self, key: str, value: str | bytes) -> None:
        """One more value of a name."""
        self._metadata.setdefault(key, []).append(value)

    def __len__(self) -> int:
        return sum(map(len, self._metadata.values()))

    def __getitem__(self, key: str) -> str | bytes:
        return self._metadata[key][0]

    def __setitem__(self, key: str, value: str | bytes) -> None:
        if key in self._metadata:
            self._metadata[key][0] = value
        else:
            self._metadata[key] = [value]

    def __delitem__(self, key: str) -> None:
        values = self._metadata[key]
        del values[0]
        if not values:
            del self._metadata[key]

    def delete_all(self, key: str) -> None:
        """Leave a name out."""
        del self._metadata[key]

    def __iter__(self) -> Iterator[tuple[str, str | bytes]]:
        for key, values in self._metadata.items():
            for value in values:
                yield key, value

    def keys(self) -> KeysView[str]:
        """The names, each once."""
        return self._metadata.keys()

    def values(self) -> ValuesView[list[str | bytes]]:
        """The values of each name."""
        return self._metadata.values()

    def items(self) -> ItemsView[str, list[str | bytes]]:
        """Each name with its values."""
        return self._metadata.items()

    def get(self, key: str, default: Any = None) -> Any:
        """The first value of a name."""
        values = self._metadata.get(key)
        return values[0] if values else default

    def get_all(self, key: str) -> list[str | bytes]:
        """All values of a name."""
        return self._metadata.get(key, [])

    def set_all(self, key: str, values: list[str | bytes]) -> None:
        """The values of a name."""
        self._metadata[key] = values

    def __contains__(self, key: object) -> bool:
        return key in self._metadata

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Metadata):
            return self._metadata == other._metadata
        if isinstance(other, tuple):
            return tuple(self) == other
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Any) -> Metadata:
        if isinstance(other, (Metadata, tuple)):
            return Metadata(*self, *other)
        return NotImplemented

    def __repr__(self) -> str:
        return f"Metadata({tuple(self)!r})"


MetadataType = Metadata | Sequence[MetadatumType] | Iterable[MetadatumType]
