"""More options and ends at their edges: what is empty, null, of another type or without a unit; ramps from nothing."""

from __future__ import annotations

from conformance.load.case import Case
from conformance.load.untried_cases import flags, options, scenario, threshold

__all__ = ["FURTHER_CASES"]

FURTHER_CASES = [
    options("a ramp from no users", '{"vus": 0, "stages": [{"duration": "1s", "target": 2}]}', compares_counts=False),
    options("no users for a time", '{"vus": 0, "duration": "1s"}'),
    options("no users for iterations", '{"vus": 0, "iterations": 1}'),
    flags("flag: iterations and stages", "--iterations", "1", "--stage", "1s:1", text="{}"),
    flags("flag: a duration below zero", "--duration", "-1s", text="{}"),
    options("no time for setup", '{"iterations": 1, "setupTimeout": "0s"}'),
    options("a duration with a space", '{"duration": "1s 500ms"}'),
    options("a duration in capitals", '{"duration": "1S"}'),
    options("a duration with an exponent", '{"duration": "1e3ms"}'),
    options("a duration with a sign", '{"duration": "+1s"}', compares_counts=False),
    options("milliseconds as text", '{"duration": "1000"}', compares_counts=False),
    options("iterations that are true", '{"iterations": true}'),
    options("options that are a list", "[]"),
    options("options that are a number", "5"),
    options("scenarios that are nothing", '{"scenarios": null, "iterations": 1}'),
    options("no setup, in words", '{"noSetup": "x", "iterations": 1}'),
    options("a column twice", '{"iterations": 1, "summaryTrendStats": ["avg", "avg"]}'),
    options("a time unit that is a number", '{"iterations": 1, "summaryTimeUnit": 5}'),
    options("an empty tag", '{"iterations": 1, "tags": {"a": ""}}'),
    scenario("environment that is a list", '{"executor": "shared-iterations", "env": []}'),
    scenario("a start at once", '{"executor": "shared-iterations", "startTime": 0}'),
    scenario("an executor in capitals", '{"executor": "Shared-Iterations"}'),
    scenario("exec of setup", '{"executor": "shared-iterations", "exec": "setup"}'),
    scenario("exec of options", '{"executor": "shared-iterations", "exec": "options"}'),
    scenario("no graceful stop, as a number", '{"executor": "shared-iterations", "gracefulStop": 0}'),
    scenario("nothing where something may be", '{"executor": "shared-iterations", "gracefulStop": null, "vus": null}'),
    scenario(
        "an unknown key of a stage", '{"executor": "ramping-vus", "stages": [{"duration": "1s", "target": 1, "x": 5}]}'
    ),
    scenario("a target in parts", '{"executor": "ramping-vus", "stages": [{"duration": "1s", "target": 1.5}]}'),
    scenario("a stage that is nothing", '{"executor": "ramping-vus", "stages": [null]}'),
    scenario(
        "users of arrivals below zero",
        '{"executor": "constant-arrival-rate", "rate": 1, "duration": "1s", "preAllocatedVUs": -1}',
    ),
    scenario("vus for arrivals", '{"executor": "constant-arrival-rate", "rate": 1, "duration": "1s", "vus": 1}'),
    scenario(
        "arrivals by text",
        '{"executor": "constant-arrival-rate", "rate": "2", "duration": "1s", "preAllocatedVUs": 1}',
        compares_counts=False,
    ),
    threshold("that is nothing", '{"tt": null}'),
    threshold("in a list that holds nothing", '{"tt": [null]}'),
    threshold("in a list of a list", '{"tt": [["avg<5"]]}'),
    threshold("that aborts in words", '{"tt": [{"threshold": "avg<10", "abortOnFail": "yes"}]}'),
    threshold("on a tag twice", '{"mm{k:v,k:w}": ["max>=0"]}'),
    threshold("with quotes and spaces", '{"mm{ k: \\"v\\" }": ["max>0"]}'),
    threshold("with a brace too many", '{"mm{": ["max>0"]}'),
    threshold("with an end alone", '{"mm}": ["max>0"]}'),
    threshold("without a name", '{"": ["max>0"]}'),
    threshold(
        "that would abort, with and without a delay",
        '{"tt": ["avg<10", {"threshold": "max<11", "abortOnFail": true}, {"threshold": "max<12", "delayAbortEval": "1s"}, {"threshold": "max<13", "abortOnFail": true, "delayAbortEval": "1m30s"}]}',
    ),
    # -- calls and streams
    Case(
        name="streams with tags and thresholds",
        options='{"iterations":3,"thresholds":{"grpc_streams_msgs_received{mine:x}":["count==30"],"grpc_streams{mine:x}":["count==3"],"grpc_req_duration{method:LotsOfReplies}":["max>=0"]}}',
        javascript="export default function(){ client.connect(TARGET,{plaintext:true}); const s=new grpc.Stream(client,'hello.HelloService/LotsOfReplies',{tags:{mine:'x'}}); s.on('end',()=>client.close()); s.write({greeting:'a'}); s.end(); }",
        python="def default():\n  client.connect(TARGET,{'plaintext':True})\n  s=client.stream('hello.HelloService/LotsOfReplies',{'tags':{'mine':'x'}})\n  s.on('end',lambda *a: client.close())\n  s.write({'greeting':'a'}); s.end()",
    ),
    Case(
        name="error statuses as thresholds",
        options='{"iterations":4,"thresholds":{"grpc_req_duration{status:12}":["max>=0"],"checks{check:unimplemented}":["rate==1"],"grpc_req_duration{status:0}":["max<60000"]}}',
        javascript="export default function(){ client.connect(TARGET,{plaintext:true}); const r=client.invoke('missing.Missing/Call',{}); check(r,{unimplemented:(r)=>r.status===grpc.StatusUnimplemented,'has error':(r)=>r.error.code===12}); client.close(); }",
        python="from puregrpc import StatusUnimplemented\ndef default():\n  client.connect(TARGET,{'plaintext':True})\n  r=client.invoke('missing.Missing/Call',{})\n  check(r,{'unimplemented':lambda r:r.status==StatusUnimplemented,'has error':lambda r:r.error.code==12})\n  client.close()",
    ),
    Case(
        name="calls in setup and teardown",
        options='{"iterations":2,"thresholds":{"grpc_req_duration{group:::setup}":["max>=0"],"iterations":["count==2"]}}',
        javascript="export function setup(){ client.connect(TARGET,{plaintext:true}); const r=client.invoke('hello.HelloService/SayHello',{greeting:'s'}); client.close(); return {said:r.message.reply}; } export default function(d){ check(d,{said:(d)=>d.said==='hello s'}); } export function teardown(d){ client.connect(TARGET,{plaintext:true}); client.invoke('hello.HelloService/SayHello',{greeting:d.said}); client.close(); }",
        python="def setup():\n  client.connect(TARGET,{'plaintext':True}); r=client.invoke('hello.HelloService/SayHello',{'greeting':'s'}); client.close(); return {'said':r.message['reply']}\ndef default(d): check(d,{'said':lambda d:d['said']=='hello s'})\ndef teardown(d):\n  client.connect(TARGET,{'plaintext':True}); client.invoke('hello.HelloService/SayHello',{'greeting':d['said']}); client.close()",
    ),
    Case(
        name="calls in nested groups with tags",
        options='{"iterations":2,"tags":{"run":"r"}}',
        arguments=("--summary-mode", "full"),
        javascript="export default function(){ client.connect(TARGET,{plaintext:true}); group('a',()=>{ client.invoke('hello.HelloService/SayHello',{},{tags:{t:'1'}}); group('b',()=>{ client.invoke('hello.HelloService/SayHello',{},{tags:{group:'mine',name:'named'}}); check(1,{'c':()=>true}); }); }); client.close(); }",
        python="def default():\n  client.connect(TARGET,{'plaintext':True})\n  def inner():\n    client.invoke('hello.HelloService/SayHello',{},{'tags':{'group':'mine','name':'named'}}); check(1,{'c':True})\n  def outer():\n    client.invoke('hello.HelloService/SayHello',{},{'tags':{'t':'1'}}); group('b',inner)\n  group('a',outer)\n  client.close()",
    ),
    Case(
        name="abort on a threshold on calls",
        options='{"vus":2,"duration":"20s","thresholds":{"grpc_req_duration{status:12}":[{"threshold":"max<0","abortOnFail":true}]}}',
        javascript="export default function(){ client.connect(TARGET,{plaintext:true}); client.invoke('missing.Missing/Call',{}); sleep(0.2); client.close(); }",
        python="def default():\n  client.connect(TARGET,{'plaintext':True})\n  client.invoke('missing.Missing/Call',{}); sleep(0.2); client.close()",
        compares_counts=False,
    ),
    Case(
        name="several exec with one metric in two scenarios, legacy",
        options='{"scenarios":{"x":{"executor":"per-vu-iterations","vus":2,"iterations":2,"exec":"one","tags":{"w":"1"}},"y":{"executor":"shared-iterations","vus":2,"iterations":3,"exec":"two","env":{"A":"b"}}},"thresholds":{"mm{scenario:x}":["count==4"],"mm{scenario:y,w:1}":["count==0"]}}',
        arguments=("--summary-mode", "legacy"),
        javascript="import {Counter} from 'k6/metrics'; const m=new Counter('mm'); export function one(){ m.add(1); } export function two(){ m.add(2); check(1,{env:()=>__ENV.A==='b'}); }",
        python="from puregrpc.metrics import Counter\nimport os\nfrom puregrpc.load import scenario\nm=Counter('mm')\ndef one(): m.add(1)\ndef two(): m.add(2); check(1,{'env':scenario.env('A')=='b'})",
    ),
    Case(
        name="a stream that fails to begin, and one with a bad method",
        options='{"iterations":2}',
        javascript="export default function(){ client.connect(TARGET,{plaintext:true}); const s=new grpc.Stream(client,'missing.Missing/Stream',{}); s.on('error',(e)=>{ seen(e.code); }); s.on('end',()=>{ seen('end'); client.close(); }); s.write({}); s.end(); }",
        python="def default():\n  client.connect(TARGET,{'plaintext':True})\n  s=client.stream('missing.Missing/Stream')\n  s.on('error',lambda e,*a: seen(int(e.code)))\n  s.on('end',lambda *a:(seen('end'),client.close()))\n  s.write({}); s.end()",
    ),
    Case(
        name="trend stats of all kinds with a threshold",
        options='{"iterations":5,"summaryTrendStats":["count","max","p(99.9)","med"],"summaryTimeUnit":"us","thresholds":{"tt":["p(90)<1000","med>=0"]}}',
        javascript="import {Trend} from 'k6/metrics'; const t=new Trend('tt',true); export default function(){ t.add(__ITER); }",
        python="from puregrpc.metrics import Trend\nt=Trend('tt',True)\ndef default(): t.add(vu.iteration)",
    ),
]
