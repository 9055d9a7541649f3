"""A wheel named grpcio that has no code: what requires grpcio is content with it, and gets puregrpc-grpc."""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from pathlib import Path

__all__ = ["DEFAULT_VERSION", "write_stub"]

DEFAULT_VERSION = "1.999.0"
"""Higher than what anything asks for, and lower than 2: requirements such as ``grpcio>=1.49.1,<2.0.0`` take it."""

_VERSION = re.compile(r"[0-9]+(\.[0-9]+)*")

METADATA = """\
Metadata-Version: 2.1
Name: grpcio
Version: {version}
Summary: Stands for grpcio where puregrpc-grpc is installed. It has no code.
Requires-Python: >=3.10
Requires-Dist: puregrpc-grpc
Provides-Extra: protobuf
Requires-Dist: protobuf; extra == "protobuf"

This distribution has metadata alone. `python -m puregrpc_grpc stub` wrote it, so that packages which require
grpcio find it, and pip does not install grpcio beside puregrpc-grpc: both would write their files into the one
package grpc.
"""

WHEEL = """\
Wheel-Version: 1.0
Generator: puregrpc_grpc
Root-Is-Purelib: true
Tag: py3-none-any
"""


def write_stub(folder: Path, version: str = DEFAULT_VERSION) -> Path:
    """Write the wheel into a folder; gives its path. Raises ValueError for a version that is not a plain one."""
    if not _VERSION.fullmatch(version):
        raise ValueError(f"{version!r} is not a plain version, such as {DEFAULT_VERSION}")
    info = f"grpcio-{version}.dist-info"
    files = {f"{info}/METADATA": METADATA.format(version=version), f"{info}/WHEEL": WHEEL}
    record = "".join(f"{name},sha256={_digest(text)},{len(text.encode())}\n" for name, text in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"grpcio-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, text in files.items():
            # The same bytes each time it is written.
            wheel.writestr(zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0)), text)
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
