"""The channelz service."""

from __future__ import annotations

from functools import partial
from typing import Any

from puregrpc.errors import InvalidArgument
from puregrpc.server import Context, in_place
from puregrpc.server.base import ServerBase
from puregrpc.services.channelz.data import QUESTIONS, Channelz, Question
from puregrpc.services.contracts import service_in
from puregrpc.wire.status import StatusCode

__all__ = ["ChannelzService"]

FILE, SERVICE = "grpc/channelz/v1/channelz.proto", "grpc.channelz.v1.Channelz"


class ChannelzService:
    """Tells those who ask a server (grpcdebug, for one) what the channels and servers of its process do (gRFC A14).

    ``channelz`` has the channels and servers that it tells of; the server that it is added to is among them. What it
    tells is not for everybody: addresses, certificates and how much there is to do.
    """

    def __init__(self, channelz: Channelz | None = None) -> None:
        self.channelz = channelz or Channelz()

    def add_to(self, server: ServerBase) -> None:
        """Serve it on ``server``, and tell of that."""
        handlers = {name: in_place(partial(self._answer, question)) for name, question in QUESTIONS.items()}
        server.add_service(service_in(server.registry, FILE, SERVICE), handlers)
        self.channelz.add_server(server)

    def _answer(self, question: Question, request: dict[str, Any], context: Context) -> dict[str, Any]:
        """NOT_FOUND for what is not there (any more)."""
        try:
            answer = question(self.channelz, request)
        except InvalidArgument as error:
            context.abort(StatusCode.INVALID_ARGUMENT, str(error))
        if answer is None:
            context.abort(StatusCode.NOT_FOUND, "channelz knows nothing of that number")
        return answer
