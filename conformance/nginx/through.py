"""Runs the interoperability cases of puregrpc's client against puregrpc's server with nginx between them.

Usage: python -m conformance.nginx.through; needs nginx on the PATH. TLS to nginx, plaintext behind it.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from conformance.interop.table import ENGINES, NAMES, Tls, certificate, python_client, python_server, server

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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, port=port, upstream=upstream, tls=tls))
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    process = subprocess.Popen([binary, "-p", str(folder), "-c", str(configuration)], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(15)


def main() -> int:
    failures = []
    passed = 0
    for engine in ENGINES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            folder.chmod(0o755)  # nginx's worker runs as another user
            tls = certificate(folder)
            with (
                server(python_server("puregrpc_server", None, "--engine", engine)) as upstream,
                nginx(folder, upstream, tls) as front,
            ):
                names = NAMES
                found = python_client("puregrpc_client", front, names, tls, "--engine", engine)
                for case in names:
                    outcome = found.get(case, "failed: no result")
                    print(f"nginx {engine}: {case} {outcome}")
                    if outcome == "ok":
                        passed += 1
                    else:
                        failures.append(case)
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
