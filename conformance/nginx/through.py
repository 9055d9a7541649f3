"""Runs the interoperability cases of puregrpc's client against puregrpc's server with nginx between them.

Usage: python -m conformance.nginx.through; needs nginx on the PATH. TLS to nginx, plaintext behind it.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.interop.table import (
    ENGINES,
    NAMES,
    STOP_BOUND,
    Tls,
    certificate,
    python_client,
    python_server,
    server,
    start_on_free_port,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIGURATION = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 0;
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {tls.cert};
    ssl_certificate_key {tls.key};
    grpc_read_timeout 30s;
    location / {{ grpc_pass grpc://{upstream}; }}
  }}
}}
"""


@contextmanager
def nginx(folder: Path, upstream: str, tls: Tls) -> Iterator[str]:
    binary = shutil.which("nginx") or "/usr/sbin/nginx"

    def command_for(port: int) -> list[str]:
        configuration = folder / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(folder=folder, port=port, upstream=upstream, tls=tls))
        return [binary, "-p", str(folder), "-c", str(configuration)]

    process, address = start_on_free_port(command_for)
    try:
        yield address
    finally:
        process.terminate()
        process.wait(STOP_BOUND)


def main() -> int:
    failures = []
    passed = 0
    for engine, world in [*((engine, "trio") for engine in ENGINES), ("fast", "asyncio")]:
        chosen = ("--engine", engine, "--world", world)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            folder.chmod(0o755)  # nginx's worker runs as another user
            tls = certificate(folder)
            with (
                server(python_server("puregrpc_server", None, *chosen)) as upstream,
                nginx(folder, upstream, tls) as front,
            ):
                names = NAMES
                found = python_client("puregrpc_client", front, names, tls, *chosen)
                for case in names:
                    outcome = found.get(case, "failed: no result")
                    print(f"nginx {engine} {world}: {case} {outcome}")
                    if outcome == "ok":
                        passed += 1
                    else:
                        failures.append(case)
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
