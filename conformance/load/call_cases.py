"""Scripts whose calls, streams and connections go wrong, or are odd."""

from __future__ import annotations

from conformance.load.case import Case

__all__ = ["CALL_CASES"]


def calls(name: str, javascript: str, python: str, options: str = '{"iterations": 1}', **more: object) -> Case:
    """A case of one iteration, which is connected."""
    return Case(
        name=name,
        options=options,
        javascript=f"export default function () {{ client.connect(TARGET, {{plaintext: true}}); {javascript} }}",
        python="def default():\n    client.connect(TARGET, plaintext=True)\n" + indented(python),
        **more,  # type: ignore[arg-type]
    )


def indented(python: str) -> str:
    return "\n".join(f"    {line}" for line in python.strip().splitlines())


def connects(name: str, address: str, javascript: str, python: str) -> Case:
    """A case of one iteration that connects with some params, and then calls."""
    return Case(
        name=name,
        options='{"iterations": 1}',
        javascript=f"const CA = open('ca.pem'); export default function () {{ client.connect({address}, {javascript}); "
        "const r = client.invoke('hello.HelloService/SayHello', {greeting: 'x'}); seen(r.status, r.message.reply); }",
        python=f"CA = open('ca.pem').read()\ndef default():\n    client.connect({address}, {python})\n"
        "    r = client.invoke('hello.HelloService/SayHello', {'greeting': 'x'}); seen(int(r.status), r.message['reply'])",
    )


STREAM_JS = """const stream = new grpc.Stream(client, %s);
let got = 0;
stream.on('data', () => { got += 1; });
stream.on('error', (e) => { seen('error', e.code, e.message); });
stream.on('end', () => { seen('end', got); });
"""
STREAM_PY = """stream = client.stream(%s)
got = []
stream.on('data', lambda m: got.append(m))
stream.on('error', lambda e: seen('error', int(e.code), e.message))
stream.on('end', lambda: seen('end', len(got)))
"""

CALL_CASES = [
    calls(
        "each status",
        "for (let code = 1; code < 17; code++) { const r = client.invoke('grpcbin.GRPCBin/SpecificError', {code, reason: code % 2 ? 'a ü b' : ''}); seen(code, r.status, r.error.code, r.error.message, JSON.stringify(r.message), r.error.details.length); }",
        """import json
for code in range(1, 17):
    r = client.invoke('grpcbin.GRPCBin/SpecificError', {'code': code, 'reason': 'a ü b' if code % 2 else ''})
    seen(code, int(r.status), int(r.error.code), r.error.message, json.dumps(r.message), len(r.error.details))""",
    ),
    calls(
        "tags that replace those of the call",
        "client.invoke('hello.HelloService/SayHello', {}, {tags: {name: 'n', method: 'm', service: 's', group: '::g', scenario: 'sc', url: 'u', mine: 'x'}}); client.invoke('hello.HelloService/SayHello', {}, {tags: {}});",
        """client.invoke('hello.HelloService/SayHello', {}, {'tags': {'name': 'n', 'method': 'm', 'service': 's', 'group': '::g', 'scenario': 'sc', 'url': 'u', 'mine': 'x'}})
client.invoke('hello.HelloService/SayHello', {}, {'tags': {}})""",
        options='{"iterations": 1, "thresholds": {"grpc_req_duration{name:n}": ["max<10000"], "grpc_req_duration{method:m,mine:x}": ["max<10000"], "grpc_req_duration{scenario:default}": ["max<10000"], "grpc_req_duration{service:hello.HelloService}": ["max<10000"]}}',
    ),
    calls(
        "tags of all types",
        "for (const v of [1, 1.5, true, 'x', '']) client.invoke('hello.HelloService/SayHello', {}, {tags: {t: v}}); client.invoke('hello.HelloService/SayHello', {}, {tags: {t: null}});",
        """for v in [1, 1.5, True, 'x', '']: client.invoke('hello.HelloService/SayHello', {}, {'tags': {'t': v}})
client.invoke('hello.HelloService/SayHello', {}, {'tags': {'t': None}})""",
        options='{"iterations": 1, "thresholds": {"grpc_req_duration{t:1}": ["max<10000"], "grpc_req_duration{t:1.5}": ["max<10000"], "grpc_req_duration{t:true}": ["max<10000"]}}',
    ),
    calls(
        "tags that are no dict",
        "client.invoke('hello.HelloService/SayHello', {}, {tags: 5});",
        "client.invoke('hello.HelloService/SayHello', {}, {'tags': 5})",
    ),
    calls(
        "a tag that is a list",
        "client.invoke('hello.HelloService/SayHello', {}, {tags: {a: [1]}});",
        "client.invoke('hello.HelloService/SayHello', {}, {'tags': {'a': [1]}})",
    ),
    calls(
        "discardResponseMessage",
        "const r = client.invoke('hello.HelloService/SayHello', {}, {discardResponseMessage: true}); seen(r.status, r.message === null); const e = client.invoke('grpcbin.GRPCBin/SpecificError', {code: 5}, {discardResponseMessage: true}); seen(e.status, e.message === null, e.error.message);",
        """r = client.invoke('hello.HelloService/SayHello', {}, {'discardResponseMessage': True}); seen(int(r.status), str(r.message is None).lower())
e = client.invoke('grpcbin.GRPCBin/SpecificError', {'code': 5}, {'discardResponseMessage': True}); seen(int(e.status), str(e.message is None).lower(), e.error.message)""",
    ),
    calls(
        "metadata comes back",
        "const r = client.invoke('grpcbin.GRPCBin/HeadersUnary', {}, {metadata: {'X-Mine': 'a b', 'e': ''}}); seen(JSON.stringify(r.message.Metadata['x-mine']), JSON.stringify(r.message.Metadata['e']));",
        """import json
r = client.invoke('grpcbin.GRPCBin/HeadersUnary', {}, {'metadata': {'X-Mine': 'a b', 'e': ''}})
seen(*(json.dumps(r.message['Metadata'][name], separators=(',', ':')) for name in ('x-mine', 'e')))""",
    ),
    calls(
        "metadata that is a number",
        "client.invoke('hello.HelloService/SayHello', {}, {metadata: {a: 5}});",
        "client.invoke('hello.HelloService/SayHello', {}, {'metadata': {'a': 5}})",
    ),
    calls(
        "metadata that cannot be",
        "const r = client.invoke('hello.HelloService/SayHello', {}, {metadata: {'a b': 'x'}}); seen(r.status);",
        "r = client.invoke('hello.HelloService/SayHello', {}, {'metadata': {'a b': 'x'}}); seen(int(r.status))",
    ),
    calls(
        "an unknown param",
        "client.invoke('hello.HelloService/SayHello', {}, {nothing: 5});",
        "client.invoke('hello.HelloService/SayHello', {}, {'nothing': 5})",
    ),
    calls(
        "an unknown method",
        "client.invoke('hello.HelloService/Nothing', {});",
        "client.invoke('hello.HelloService/Nothing', {})",
    ),
    calls(
        "a request that is null",
        "client.invoke('hello.HelloService/SayHello', null);",
        "client.invoke('hello.HelloService/SayHello', None)",
    ),
    calls(
        "a request with an unknown field",
        "client.invoke('hello.HelloService/SayHello', {nothing: 1});",
        "client.invoke('hello.HelloService/SayHello', {'nothing': 1})",
    ),
    calls(
        "a request of the wrong type",
        "client.invoke('hello.HelloService/SayHello', {greeting: 1});",
        "client.invoke('hello.HelloService/SayHello', {'greeting': 1})",
    ),
    calls(
        "a method that the server does not have",
        "const r = client.invoke('missing.Missing/Call', {}); seen(r.status);",
        "r = client.invoke('missing.Missing/Call', {}); seen(int(r.status))",
    ),
    calls(
        "calls one after the other in groups",
        "group('a', () => { client.invoke('hello.HelloService/SayHello', {}); group('b', () => client.invoke('hello.HelloService/SayHello', {})); });",
        """def inner(): client.invoke('hello.HelloService/SayHello', {})
def outer(): inner(); group('b', inner)
group('a', outer)""",
        options='{"iterations": 2, "thresholds": {"grpc_req_duration{group:::a}": ["max<10000"], "grpc_req_duration{group:::a::b}": ["max<10000"]}}',
    ),
    calls(
        "close, and a call",
        "client.close(); client.close(); client.invoke('hello.HelloService/SayHello', {});",
        "client.close(); client.close(); client.invoke('hello.HelloService/SayHello', {})",
    ),
    calls(
        "connected twice",
        "client.connect(TARGET, {plaintext: true}); seen(client.invoke('hello.HelloService/SayHello', {}).status);",
        "client.connect(TARGET, plaintext=True); seen(int(client.invoke('hello.HelloService/SayHello', {}).status))",
    ),
    calls(
        "a failed connect leaves no connection",
        "try { client.connect('127.0.0.1:1', {plaintext: true, timeout: '300ms'}); } catch (e) { seen('failed'); } client.invoke('hello.HelloService/SayHello', {});",
        """try: client.connect('127.0.0.1:1', {'plaintext': True, 'timeout': '300ms'})
except Exception: seen('failed')
client.invoke('hello.HelloService/SayHello', {})""",
    ),
    calls(
        "health",
        "seen(client.healthCheck().message.status); seen(client.healthCheck('hello.HelloService').message.status); const r = client.healthCheck('nothing'); seen(r.status, r.error.message);",
        """seen(client.health_check().message['status']); seen(client.health_check('hello.HelloService').message['status'])
r = client.health_check('nothing'); seen(int(r.status), r.error.message)""",
    ),
    Case(
        name="health without a connection, caught",
        options='{"iterations": 1}',
        javascript="export default function () { try { client.invoke('hello.HelloService/SayHello', {}); } catch (e) { seen('' + e.message); } }",
        python="""
def default():
    try: client.invoke('hello.HelloService/SayHello', {})
    except Exception as e: seen(e)
""",
    ),
    calls(
        "a reply too large",
        "const r = client.invoke('grpcbin.GRPCBin/DummyUnary', {f_string: 'x'.repeat(5 << 20)}); seen(r.status);",
        "r = client.invoke('grpcbin.GRPCBin/DummyUnary', {'f_string': 'x' * (5 << 20)}); seen(int(r.status))",
    ),
    connects(
        "maxReceiveSize", "TARGET", "{plaintext: true, maxReceiveSize: 5}", "{'plaintext': True, 'maxReceiveSize': 5}"
    ),
    connects("maxSendSize", "TARGET", "{plaintext: true, maxSendSize: 2}", "{'plaintext': True, 'maxSendSize': 2}"),
    connects(
        "maxReceiveSize below zero",
        "TARGET",
        "{plaintext: true, maxReceiveSize: -5}",
        "{'plaintext': True, 'maxReceiveSize': -5}",
    ),
    connects("a timeout of zero", "TARGET", "{plaintext: true, timeout: 0}", "{'plaintext': True, 'timeout': 0}"),
    connects(
        "a timeout that is nonsense",
        "TARGET",
        "{plaintext: true, timeout: 'soon'}",
        "{'plaintext': True, 'timeout': 'soon'}",
    ),
    connects(
        "an unknown connect param", "TARGET", "{plaintext: true, nothing: 1}", "{'plaintext': True, 'nothing': 1}"
    ),
    connects(
        "an address that cannot be",
        "'a b c'",
        "{plaintext: true, timeout: '1s'}",
        "{'plaintext': True, 'timeout': '1s'}",
    ),
    connects(
        "a scheme before the address",
        "'http://' + TARGET",
        "{plaintext: true, timeout: '1s'}",
        "{'plaintext': True, 'timeout': '1s'}",
    ),
    connects(
        "a server that closes at once",
        "CLOSING",
        "{plaintext: true, timeout: '500ms'}",
        "{'plaintext': True, 'timeout': '500ms'}",
    ),
    connects(
        "a server that says nothing",
        "DEAF",
        "{plaintext: true, timeout: '500ms'}",
        "{'plaintext': True, 'timeout': '500ms'}",
    ),
    connects("an authority's own certificate", "SECURE", "{tls: {cacerts: CA}}", "{'tls': {'cacerts': CA}}"),
    connects("a list of authorities", "SECURE", "{tls: {cacerts: [CA, CA]}}", "{'tls': {'cacerts': [CA, CA]}}"),
    connects("no authority's certificate", "SECURE", "{timeout: '500ms'}", "{'timeout': '500ms'}"),
    connects(
        "a certificate for another name",
        "SECURE",
        "{tls: {cacerts: CA}, authority: 'other.example', timeout: '500ms'}",
        "{'tls': {'cacerts': CA}, 'authority': 'other.example', 'timeout': '500ms'}",
    ),
    connects(
        "an authority that is the server's",
        "SECURE",
        "{tls: {cacerts: CA}, authority: 'localhost'}",
        "{'tls': {'cacerts': CA}, 'authority': 'localhost'}",
    ),
    connects("cacerts that are nonsense", "SECURE", "{tls: {cacerts: 'x'}}", "{'tls': {'cacerts': 'x'}}"),
    connects(
        "plaintext to TLS", "SECURE", "{plaintext: true, timeout: '500ms'}", "{'plaintext': True, 'timeout': '500ms'}"
    ),
    Case(
        name="the authority that the server sees",
        options='{"iterations": 1}',
        javascript="export default function () { client.connect(TARGET, {plaintext: true, authority: 'mine.example:5'}); const r = client.invoke('grpcbin.GRPCBin/HeadersUnary', {}); seen(JSON.stringify(r.message.Metadata[':authority'])); }",
        python="""
import json
def default():
    client.connect(TARGET, {'plaintext': True, 'authority': 'mine.example:5'})
    seen(json.dumps(client.invoke('grpcbin.GRPCBin/HeadersUnary', {}).message['Metadata'][':authority'], separators=(',', ':')))
""",
    ),
    Case(
        name="reflection with metadata",
        options='{"iterations": 1}',
        javascript="const other = new grpc.Client(); export default function () { other.connect(TARGET, {plaintext: true, reflect: true, reflectMetadata: {'x-a': 'b'}}); const r = other.invoke('routeguide.FeatureExplorer/ListFeatures', {}); seen(r.status); const h = other.invoke('hello.HelloService/SayHello', {greeting: 'r'}); seen(h.message.reply); }",
        python="""
other = Client()
def default():
    other.connect(TARGET, {'plaintext': True, 'reflect': True, 'reflectMetadata': {'x-a': 'b'}})
    seen(int(other.invoke('routeguide.FeatureExplorer/ListFeatures', {}).status))
    seen(other.invoke('hello.HelloService/SayHello', {'greeting': 'r'}).message['reply'])
""",
    ),
    Case(
        name="a client without definitions",
        options='{"iterations": 1}',
        javascript="const other = new grpc.Client(); export default function () { other.connect(TARGET, {plaintext: true}); other.invoke('hello.HelloService/SayHello', {}); }",
        python="""
other = Client()
def default():
    other.connect(TARGET, {'plaintext': True}); other.invoke('hello.HelloService/SayHello', {})
""",
    ),
    Case(
        name="a call at the top",
        options='{"iterations": 1}',
        javascript="client.invoke('hello.HelloService/SayHello', {}); export default function () {}",
        python="client.invoke('hello.HelloService/SayHello', {})\ndef default(): pass",
        compares_summary=False,
    ),
    Case(
        name="load of a file that is not there",
        options='{"iterations": 1}',
        javascript="client.load([], 'nothing.proto'); export default function () {}",
        python="client.load([], 'nothing.proto')\ndef default(): pass",
        compares_summary=False,
    ),
    Case(
        name="load in an iteration",
        options='{"iterations": 1}',
        javascript="export default function () { client.load([], 'hello.proto'); }",
        python="def default(): client.load([], 'hello.proto')",
    ),
    Case(
        name="five calls at once",
        options='{"iterations": 2}',
        javascript="export default async function () { client.connect(TARGET, {plaintext: true}); const all = await Promise.all([1, 2, 3, 4, 5].map((n) => client.asyncInvoke('hello.HelloService/SayHello', {greeting: '' + n}, {tags: {n: '' + n}}))); seen(all.map((r) => r.message.reply).join()); }",
        python="""
import asyncio
async def default():
    await client.connect(TARGET, plaintext=True)
    every = await asyncio.gather(*(client.invoke('hello.HelloService/SayHello', {'greeting': str(n)}, {'tags': {'n': n}}) for n in range(1, 6)))
    seen(','.join(r.message['reply'] for r in every))
""",
    ),
    Case(
        name="five calls at once with threads",
        options='{"iterations": 2}',
        javascript="export default async function () { client.connect(TARGET, {plaintext: true}); const all = await Promise.all([1, 2, 3, 4, 5].map((n) => client.asyncInvoke('hello.HelloService/SayHello', {greeting: '' + n}, {tags: {n: '' + n}}))); seen(all.map((r) => r.message.reply).join()); }",
        python="""
def default():
    client.connect(TARGET, plaintext=True)
    every = [client.async_invoke('hello.HelloService/SayHello', {'greeting': str(n)}, {'tags': {'n': n}}) for n in range(1, 6)]
    seen(','.join(r.result().message['reply'] for r in every))
""",
    ),
    Case(
        name="asyncInvoke with a bad argument",
        options='{"iterations": 2}',
        javascript="export default async function () { client.connect(TARGET, {plaintext: true}); await client.asyncInvoke('hello.HelloService/Nothing', {}); }",
        python="""
async def default():
    await client.connect(TARGET, plaintext=True); await client.invoke('hello.HelloService/Nothing', {})
""",
    ),
    Case(
        name="an async iteration that fails",
        options='{"iterations": 2}',
        javascript="export default async function () { await Promise.resolve(); throw new Error('x'); }",
        python="async def default(): raise ValueError('x')",
    ),
    Case(
        name="a call that nobody waits for",
        options='{"iterations": 2}',
        javascript="export default function () { client.connect(TARGET, {plaintext: true}); client.asyncInvoke('hello.HelloService/SayHello', {}); }",
        python="""
def default():
    client.connect(TARGET, plaintext=True); client.async_invoke('hello.HelloService/SayHello', {})
""",
    ),
    calls(
        "a stream with tags",
        STREAM_JS % "'hello.HelloService/LotsOfReplies', {tags: {mine: 'a'}}"
        + "stream.write({greeting: 'x'}); stream.end();",
        STREAM_PY % "'hello.HelloService/LotsOfReplies', {'tags': {'mine': 'a'}}"
        + "stream.write({'greeting': 'x'}); stream.end()",
        options='{"iterations": 2, "thresholds": {"grpc_streams{mine:a}": ["count==2"], "grpc_streams_msgs_received{mine:a}": ["count==20"], "grpc_streams_msgs_sent{mine:b}": ["count==0"]}}',
    ),
    calls(
        "a stream that the server does not have",
        STREAM_JS % "'missing.Missing/Stream'" + "stream.write({}); stream.end();",
        STREAM_PY % "'missing.Missing/Stream'" + "stream.write({}); stream.end()",
    ),
    calls(
        "a stream of greetings",
        STREAM_JS % "'grpcbin.GRPCBin/DummyClientStream'"
        + "for (let i = 0; i < 4; i++) stream.write({f_int32: i}); stream.end();",
        STREAM_PY % "'grpcbin.GRPCBin/DummyClientStream'"
        + "for i in range(4): stream.write({'f_int32': i})\nstream.end()",
    ),
    calls(
        "a stream in both directions",
        STREAM_JS % "'grpcbin.GRPCBin/DummyBidirectionalStreamStream'"
        + "for (let i = 0; i < 4; i++) stream.write({f_int32: i}); stream.end(); stream.end();",
        STREAM_PY % "'grpcbin.GRPCBin/DummyBidirectionalStreamStream'"
        + "for i in range(4): stream.write({'f_int32': i})\nstream.end(); stream.end()",
    ),
    calls(
        "a stream of an unknown method",
        "new grpc.Stream(client, 'hello.HelloService/Nothing');",
        "client.stream('hello.HelloService/Nothing')",
    ),
    calls(
        "a stream with an unknown param",
        "new grpc.Stream(client, 'hello.HelloService/LotsOfReplies', {nothing: 1});",
        "client.stream('hello.HelloService/LotsOfReplies', {'nothing': 1})",
    ),
    calls(
        "a stream that is discarded",
        STREAM_JS % "'hello.HelloService/LotsOfReplies', {discardResponseMessage: true}"
        + "stream.on('data', (m) => seen(m === null)); stream.write({greeting: 'x'}); stream.end();",
        STREAM_PY % "'hello.HelloService/LotsOfReplies', {'discardResponseMessage': True}"
        + "stream.on('data', lambda m: seen(str(m is None).lower())); stream.write({'greeting': 'x'}); stream.end()",
    ),
    calls(
        "invoke of a stream's method",
        "const r = client.invoke('hello.HelloService/LotsOfReplies', {}); seen(r.status);",
        "r = client.invoke('hello.HelloService/LotsOfReplies', {}); seen(int(r.status))",
    ),
    calls(
        "a stream of a unary method",
        STREAM_JS % "'hello.HelloService/SayHello'" + "stream.write({greeting: 'x'}); stream.end();",
        STREAM_PY % "'hello.HelloService/SayHello'" + "stream.write({'greeting': 'x'}); stream.end()",
    ),
    calls(
        "write after end",
        STREAM_JS % "'hello.HelloService/LotsOfReplies'"
        + "stream.write({greeting: 'x'}); stream.end(); stream.write({greeting: 'y'});",
        STREAM_PY % "'hello.HelloService/LotsOfReplies'"
        + "stream.write({'greeting': 'x'}); stream.end(); stream.write({'greeting': 'y'})",
    ),
    calls(
        "an event that is none",
        STREAM_JS % "'hello.HelloService/LotsOfReplies'"
        + "stream.on('nothing', () => 1); stream.write({greeting: 'x'}); stream.end();",
        STREAM_PY % "'hello.HelloService/LotsOfReplies'"
        + "stream.on('nothing', lambda: 1); stream.write({'greeting': 'x'}); stream.end()",
    ),
]
