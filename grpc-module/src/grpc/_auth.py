"""Plugins of call credentials for google-auth."""

from __future__ import annotations

import inspect
from typing import Any

from grpc._client_interfaces import AuthMetadataPlugin

__all__ = ["AccessTokenAuthMetadataPlugin", "GoogleCallCredentials"]


class AccessTokenAuthMetadataPlugin(AuthMetadataPlugin):
    """Metadata of an access token."""

    def __init__(self, access_token: str) -> None:
        self._access_token = access_token

    def __call__(self, context: Any, callback: Any) -> None:
        callback((("authorization", f"Bearer {self._access_token}"),), None)


class GoogleCallCredentials(AuthMetadataPlugin):
    """Metadata from credentials as oauth2client and google-auth have them, with ``get_access_token``."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials
        parameters = inspect.signature(credentials.get_access_token).parameters
        self._takes_claims = "additional_claims" in parameters

    def __call__(self, context: Any, callback: Any) -> None:
        try:
            if self._takes_claims:
                token = self._credentials.get_access_token(additional_claims={"aud": context.service_url}).access_token
            else:
                token = self._credentials.get_access_token().access_token
        except Exception as error:
            callback((), error)
        else:
            callback((("authorization", f"Bearer {token}"),), None)
