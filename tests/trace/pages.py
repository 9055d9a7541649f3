"""What is in a page of a trace."""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import Any

from puregrpc.trace import Explanation
from puregrpc.trace.showing.page import html_page


def data_of(explanation: Explanation) -> dict[str, Any]:
    found = re.search(r'id="data">(.*?)</script>', html_page(explanation), re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def unpacked(data: dict[str, Any], packed: str) -> bytes:
    octets = base64.b64decode(packed)
    return zlib.decompress(octets) if data["packing"] else octets


def unpacked_json(data: dict[str, Any], packed: Any) -> Any:
    return json.loads(unpacked(data, packed)) if data["packing"] else packed


def rows_of(explanation: Explanation) -> dict[str, Any]:
    data = data_of(explanation)
    rows: dict[str, Any] = unpacked_json(data, data["rows"])
    return rows
