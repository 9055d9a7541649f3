"""Sessions: a wire connection over a byte stream, with one driver for each world; and what TLS is to go by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from puregrpc._on_demand import on_demand

if TYPE_CHECKING:
    from puregrpc.transport.amounts import CallCounters as CallCounters
    from puregrpc.transport.amounts import SessionCounters as SessionCounters
    from puregrpc.transport.certificates import Certificate as Certificate
    from puregrpc.transport.certificates import ConnectionSecurity as ConnectionSecurity
    from puregrpc.transport.certificates import read_certificate as read_certificate
    from puregrpc.transport.dynamic_tls import DynamicTls as DynamicTls
    from puregrpc.transport.session import ClientSession as ClientSession
    from puregrpc.transport.session import Session as Session
    from puregrpc.transport.session import SessionOptions as SessionOptions
    from puregrpc.transport.session import UnaryExchange as UnaryExchange
    from puregrpc.transport.session import open_session as open_session
    from puregrpc.transport.tls import InsecureTlsWarning as InsecureTlsWarning
    from puregrpc.transport.tls import TlsOptions as TlsOptions
    from puregrpc.transport.tls import TlsSessionCache as TlsSessionCache

_MODULES = {
    "CallCounters": "amounts",
    "Certificate": "certificates",
    "ClientSession": "session",
    "ConnectionSecurity": "certificates",
    "DynamicTls": "dynamic_tls",
    "InsecureTlsWarning": "tls",
    "Session": "session",
    "SessionCounters": "amounts",
    "SessionOptions": "session",
    "TlsOptions": "tls",
    "TlsSessionCache": "tls",
    "UnaryExchange": "session",
    "open_session": "session",
    "read_certificate": "certificates",
}

__all__ = [*_MODULES]

__getattr__, __dir__ = on_demand(__name__, _MODULES)
