"""The text of the lesson, with tables from the explanation of its conversation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from puregrpc.trace import Explanation, Frame, Part
from puregrpc.trace.records import HeaderBlock, Stretch

__all__ = ["lesson_page"]

OCTETS_SHOWN = 12


def lesson_page(explanation: Explanation) -> str:
    """The lesson as Markdown."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(_Lesson(explanation).lines()).strip("\n")) + "\n"


class _Lesson:
    def __init__(self, explanation: Explanation) -> None:
        self.explanation = explanation
        self.frames = [entry for entry in explanation.entries if isinstance(entry, Frame)]

    def lines(self) -> Iterator[str]:
        preface = self.explanation.entries[0]
        client_settings, window, server_settings = self.frames[0], self.frames[1], self.frames[2]
        acknowledgement = self.of(0, "SETTINGS", flags=("ACK",))
        request, data = self.of(1, "HEADERS"), self.of(1, "DATA")
        response, reply, trailers = self.of(1, "HEADERS", 1), self.of(1, "DATA", 1), self.of(1, "HEADERS", 2)
        second, second_response = self.of(3, "HEADERS"), self.of(3, "HEADERS", 1)
        zipped_headers, zipped = self.of(5, "HEADERS"), self.of(5, "DATA")
        failed = self.of(7, "HEADERS", 1)
        stream, reset = self.of(9, "DATA", 1), self.of(9, "RST_STREAM")
        goodbye = self.of(0, "GOAWAY")
        yield from text(
            """
            # gRPC on the wire, byte by byte

            A gRPC call is a handful of octets. This page shows all of them: a client and a server of this program talk
            over one connection, everything they send is recorded, and `puregrpc trace` says what each octet is and which
            rule it serves. The page is made from that trace (`python -m docs.wire.generate`), so it shows what is really
            sent. The same trace, to click through: [conversation.html](conversation.html). See for yourself with

                puregrpc serve &
                puregrpc trace -p localhost:50051 hello.HelloService/SayHello -d '{"greeting": "Bert"}' --html call.html

            The service is `hello.HelloService`; its messages have one field each, a text with the number 1.

            ## 1. Before the first call

            gRPC is spoken over HTTP/2. The client opens the connection with a text that an HTTP/1 server would
            take for a strange request and refuse:
            """
        )
        yield from self.table(preface.part)
        yield from text(
            """
            From here on everything, in both directions, is *frames*. Each begins with the same 9 octets. The first frame of
            each side is SETTINGS, in which it says how it wants to be spoken to. The client's:
            """
        )
        yield from self.table(client_settings.part)
        yield from text(
            """
            The client goes on without waiting for an answer. It lets the server send more than the 65,535 octets that every
            connection begins with:
            """
        )
        yield from self.table(window.part)
        yield from text(
            f"""
            The server's SETTINGS look alike ({server_settings.length} octets of payload). Each side confirms the other's
            with an empty SETTINGS frame that has the ACK flag:
            """
        )
        yield from self.table(acknowledgement.part)
        yield from text(
            """
            ## 2. The request's headers

            A call is one *stream*. The client opens it with HEADERS; its number is odd and higher than all before. What the
            call is about stands in header fields, and these are compressed with HPACK:
            """
        )
        yield from self.table(request.part)
        yield from self.block(request.header_block)
        yield from text(
            f"""
            Look at the first two octets: `83` and `86` are whole fields, `:method: POST` and `:scheme: http`, because
            both are in the *static table* that every HPACK implementation knows. The path is not, so it is spelled out, in
            Huffman code, and added to the *dynamic table*, where it has index 62 from now on. The deadline is different for
            each call, and so it is written in a form that is never put into a table. Together: {request.length} octets.

            ## 3. The message

            The message is in a DATA frame. gRPC puts 5 octets in front of it: whether it is compressed, and how long it is.
            They are needed because frames and messages have nothing to do with each other: a frame may end in the middle
            of a message, or hold three of them.
            """
        )
        yield from self.table(data.part)
        yield from self.message(data)
        yield from text(
            f"""
            The flag END_STREAM says that the client has sent everything: the *half-close*. The server may still send, and
            its windows tell how much: after this frame the client may send
            {data.windows.client_connection:,} octets of DATA on the connection and {data.windows.client_stream:,} on this
            stream, {data.length} less than before. Only DATA counts.

            ## 4. The response

            The response has three parts: headers, which only say that this is gRPC,
            """
        )
        yield from self.block(response.header_block)
        yield from text("the message, with the same 5 octets in front,")
        yield from self.message(reply)
        yield from text(
            """
            and *trailers*: HEADERS again, after the message. The status can only be known when the work is done, and
            that is why gRPC needs HTTP/2's trailers (and why `te: trailers` is in every request):
            """
        )
        yield from self.block(trailers.header_block)
        yield from text(
            f"""
            ## 5. The second call is smaller

            The second call has the same fields with another message. Its header block has {second.length} octets; the
            first one had {request.length}:
            """
        )
        yield from self.block(second.header_block)
        yield from text(
            f"""
            Every field that the first call added to the dynamic table is now one octet, with its index. The indices count
            from the newest entry, so they move when another is added. The response's headers have
            {second_response.length} octets.

            This is why a header block cannot be understood by itself: whoever has not seen the connection from its
            beginning does not know what index 68 is. It is also why header blocks are decoded one after another, in the
            order they come, even if nobody wants the call any more.

            ## 6. Compressed messages

            The third call announces `grpc-encoding: gzip`:
            """
        )
        yield from self.block(zipped_headers.header_block, only=b"grpc-encoding")
        yield from text("and the flag in front of its message is 1:")
        yield from self.message(zipped)
        yield from text(
            """
            The header says how a message is compressed *if* it is; the flag says whether this one is. A message that would
            grow is sent as it is, with the flag 0.

            ## 7. A call that fails

            The fourth call is refused. No message comes back, so headers and trailers become one: *trailers-only*.
            """
        )
        yield from self.block(failed.header_block)
        yield from text(
            """
            `:status` is 200 all the same: HTTP did its part. The message is percent-encoded, because header fields are no
            place for any octets. The field `content-type` was already in the table; `grpc-status` was too, but with the
            value 0, so only its name is taken from there.

            ## 8. Streams, and the end of one

            The fifth call is answered with a stream of messages. Three of them are in one DATA frame:
            """
        )
        yield from self.message(stream)
        yield from text("Then the client has enough. It ends the call from its side at once:")
        yield from self.table(reset.part)
        yield from text(
            """
            The server may have sent more by then. The client throws it away, but counts it, because all calls share the
            window of the connection. The status, CANCELLED, is made by each side for itself: nobody sends it.

            ## 9. Goodbye

            GOAWAY says that no new call will be taken, and up to which stream calls were seen, so that the peer knows
            what it may safely try again elsewhere:
            """
        )
        yield from self.table(goodbye.part)
        total = sum(len(buffer.data) for buffer in self.explanation.buffers[:2])
        yield from text(
            f"""
            That was the whole conversation: {len(self.explanation.calls)} calls, {len(self.frames)} frames,
            {total:,} octets. Now take a capture in which something is wrong: [exercises](exercises.md).

            ## The rules

            The documents that the tables name:
            """
        )
        rules = {
            part.rule.document: part.rule.url.partition("#")[0]
            for outer in self.explanation.parts()
            for part in outer.walk()
            if part.rule is not None
        }
        for document, url in sorted(rules.items()):
            yield f"- {document}: <{url}>"

    def of(self, stream: int, name: str, number: int = 0, *, flags: tuple[str, ...] | None = None) -> Frame:
        """The frame of that name on a stream, by its place among them."""
        found = [
            frame
            for frame in self.frames
            if frame.stream_id == stream and frame.type_name == name and (flags is None or frame.flag_names == flags)
        ]
        return found[number]

    def table(self, part: Part) -> Iterator[str]:
        """A part and what is in it."""
        yield from self.rows(part.parts or (part,))

    def block(self, block: HeaderBlock | None, *, only: bytes | None = None) -> Iterator[str]:
        """The fields of a header block, each with its own octets."""
        if block is None:
            return
        yield from self.rows(header.part for header in block.fields if only is None or header.name == only)

    def message(self, frame: Frame | Stretch) -> Iterator[str]:
        """The messages that end in a frame."""
        for message in frame.messages:
            yield from self.rows(message.part.parts)
            if message.content is not None:
                yield "Inflated:"
                yield ""
                yield from self.rows(message.content.parts)

    def rows(self, parts: Iterable[Part]) -> Iterator[str]:
        yield ""
        yield "| octets | what | says | rule |"
        yield "|---|---|---|---|"
        for part in parts:
            yield from self.row(part, 0)
        yield ""

    def row(self, part: Part, depth: int) -> Iterator[str]:
        data = self.explanation.octets(part.spans)
        shown = "" if part.parts else f"`{data[:OCTETS_SHOWN].hex(' ')}{' …' if len(data) > OCTETS_SHOWN else ''}`"
        says = ", ".join(filter(None, (escaped(part.value), f"*{escaped(part.note)}*" if part.note else "")))
        if part.explained_by:
            says += " (below)"
        rule = f"[{part.rule}]({part.rule.url})" if part.rule is not None else ""
        label = f"{'&emsp;' * depth}{f'**{escaped(part.label)}**' if part.parts else escaped(part.label)}"
        yield f"| {shown} | {label} | {says} | {rule} |"
        for inner in part.parts:
            yield from self.row(inner, depth + 1)


def text(paragraphs: str) -> Iterator[str]:
    """Text that is indented with the code, without that indentation."""
    lines = paragraphs.strip("\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    yield ""
    yield from (line[margin:] for line in lines)
    yield ""


def escaped(value: str) -> str:
    """Text for a cell of a Markdown table."""
    for character in "\\`*_[]<>|":
        value = value.replace(character, f"\\{character}")
    return value
