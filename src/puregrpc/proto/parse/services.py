"""The service half of the grammar: ``service Name { rpc Name(Input) returns (Output); }``."""

from __future__ import annotations

from puregrpc.proto.parse import ast
from puregrpc.proto.parse.enums import EnumParser
from puregrpc.proto.parse.token_stream import SkipStatement

__all__ = ["ServiceParser"]


class ServiceParser(EnumParser):
    """Parses services."""

    def service(self, file: ast.File) -> None:
        """``service Name { ... }``."""
        service = ast.Service("")
        file.services.append(service)
        self.at += 1
        service.name = self.identifier("Expected service name.")
        self.consume("{")
        while not self.try_consume("}"):
            if self.at_end():
                self.fail("Reached end of input in service definition (missing '}').")
            word = self.tokens[self.at]
            try:
                if word == ";":
                    self.at += 1
                elif word == "option":
                    if service.options is None:
                        service.options = []
                    self.option_statement(service.options)
                else:
                    self.method(service)
            except SkipStatement:
                self.skip_statement()

    def method(self, service: ast.Service) -> None:
        """``rpc Name([stream] Input) returns ([stream] Output);`` or with options in braces."""
        method = ast.Method("", "", "")
        service.methods.append(method)
        self.consume("rpc")
        method.name = self.identifier("Expected method name.")
        self.consume("(")
        method.is_client_stream = self.try_consume("stream")
        method.input_type = self.type_name()
        self.consume(")")
        self.consume("returns")
        self.consume("(")
        method.is_server_stream = self.try_consume("stream")
        method.output_type = self.type_name()
        self.consume(")")
        if self.try_consume("{"):
            method.options = []
            while not self.try_consume("}"):
                if self.at_end():
                    self.fail("Reached end of input in method options (missing '}').")
                if self.try_consume(";"):
                    continue
                try:
                    self.option_statement(method.options)
                except SkipStatement:
                    self.skip_statement()
        else:
            self.consume(";")
