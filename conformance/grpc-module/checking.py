"""What the checks of libraries have in common: how they are gathered and run, and the servers that they talk to."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
import traceback
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc


class Checks:
    """The checks of a file, one for each library; the decorator of each. Run as the file's command."""

    def __init__(self) -> None:
        self._functions: list[Callable[[], None]] = []

    def __call__(self, function: Callable[[], None]) -> Callable[[], None]:
        self._functions.append(function)
        return function

    def run(self) -> int:
        """Run the checks that the command line names, or all."""
        failed = 0
        chosen = [function for function in self._functions if not sys.argv[1:] or function.__name__ in sys.argv[1:]]
        for function in chosen:
            begun = time.monotonic()
            try:
                with contextlib.redirect_stdout(sys.stderr):  # some have banners and logs
                    function()
            except BaseException:
                failed += 1
                traceback.print_exc()
                print(f"| {function.__name__.replace('_', '-')} | FAILED |", flush=True)
            else:
                print(f"| {function.__name__.replace('_', '-')} | {time.monotonic() - begun:.1f} s |", flush=True)
        print(f"{len(chosen) - failed} passed, {failed} failed")
        return 1 if failed else 0


def serving(
    add: Callable[[Any, grpc.Server], None], servicer: Any, credentials: grpc.ServerCredentials | None = None
) -> tuple[grpc.Server, str]:
    """Serve a servicer, over TLS if there are credentials; gives the address."""
    server = grpc.server(futures.ThreadPoolExecutor(8))
    add(servicer, server)
    address = "127.0.0.1:0"
    port = server.add_insecure_port(address) if credentials is None else server.add_secure_port(address, credentials)
    server.start()
    return server, f"127.0.0.1:{port}"


def serving_generic(
    service: str, methods: dict[str, Any], credentials: grpc.ServerCredentials | None = None
) -> tuple[grpc.Server, str]:
    """Serve methods: a handler, or a function with the type of its requests (of proto-plus) and the shape of it."""
    handlers = {}
    for name, method in methods.items():
        if type(method) is tuple:
            behavior, kind, shape = (*method, "unary_unary")[:3]
            make = getattr(grpc, f"{shape}_rpc_method_handler")
            method = make(behavior, kind.deserialize, lambda response: type(response).serialize(response))
        handlers[name] = method

    def add(_: Any, server: grpc.Server) -> None:
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))

    return serving(add, None, credentials)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def until(condition: Callable[[], object], seconds: float = 10.0) -> bool:
    """Wait until something holds; False if it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def self_signed(host: str = "localhost") -> tuple[bytes, bytes]:
    """A key and a certificate of a host, and of 127.0.0.1."""
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    names = [x509.DNSName(host), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private, certificate.public_bytes(encoding)
