"""What is left at the edges: no columns, gauges below zero, thresholds with odd signs, phases that raise."""

from __future__ import annotations

from conformance.load.case import Case
from conformance.load.untried_cases import flags, options, scenario, threshold

__all__ = ["EDGE_CASES"]

EDGE_CASES = [
    # -- summary and its columns
    options("no columns", '{"iterations": 1, "summaryTrendStats": []}'),
    threshold("and a column that is not shown", '{"tt": ["p(99.99)<100"], "mm": ["p(0)>=0"]}'),
    threshold("with spaces everywhere", '{"tt": ["  avg   <   100  "], "cc": ["count   ==8"]}'),
    threshold("without any spaces", '{"tt": ["p(95)<=100"], "rr": ["rate>=0.5"], "gg": ["value!=9"]}'),
    threshold("with three equal signs", '{"tt": ["max===3"], "cc": ["count===8"]}'),
    threshold("with an exponent", '{"tt": ["max<1e3"]}'),
    threshold("with a comma", '{"tt": ["max<1,5"]}'),
    threshold("with a plus", '{"tt": ["max<+5"]}'),
    threshold("with a percent sign", '{"rr": ["rate<90%"]}'),
    threshold("with a percentile of 100", '{"tt": ["p(100)<=3", "p(0)>=0"]}'),
    threshold("with capitals", '{"tt": ["AVG<5"]}'),
    threshold("with the number first", '{"tt": ["5>avg"]}'),
    threshold("with a tag and a value of spaces", '{"mm{k: v }": ["avg>=0"]}'),
    threshold("on all iterations", '{"iterations": ["count==4", "rate>0"], "iteration_duration": ["med>=0"]}'),
    threshold("on users", '{"vus": ["value<=1"], "vus_max": ["max<=1"]}'),
    threshold("on data", '{"data_sent": ["count>=0"], "data_received": ["rate>=0"]}'),
    threshold("on what was dropped", '{"dropped_iterations": ["count==0"]}'),
    threshold("on the scenario's tag", '{"iterations{scenario:default}": ["count==4"]}'),
    threshold("on an unknown metric's tag", '{"zz{k:v}": ["avg<5"]}'),
    Case(
        name="a gauge that stays below zero",
        options='{"iterations":3,"thresholds":{"gg":["value<0"],"hh":["value==-3000"]}}',
        javascript="import { Gauge } from 'k6/metrics'; const g=new Gauge('gg'), h=new Gauge('hh', true); export default function(){ g.add(-5 - __ITER); h.add(-3000); }",
        python="from puregrpc.metrics import Gauge\ng=Gauge('gg'); h=Gauge('hh', True)\ndef default(): g.add(-5 - vu.iteration); h.add(-3000)",
    ),
    Case(
        name="times and none of all four kinds",
        options='{"iterations":3,"summaryTimeUnit":"s"}',
        arguments=("--summary-mode", "full"),
        javascript="import { Gauge, Counter, Rate, Trend } from 'k6/metrics'; const g=new Gauge('gg',true), c=new Counter('cc',true), r=new Rate('rr',true), t=new Trend('tt',true); export default function(){ g.add(1500); c.add(1500); r.add(1); t.add(61500.5); }",
        python="from puregrpc.metrics import Gauge, Counter, Rate, Trend\ng=Gauge('gg',True); c=Counter('cc',True); r=Rate('rr',True); t=Trend('tt',True)\ndef default(): g.add(1500); c.add(1500); r.add(1); t.add(61500.5)",
    ),
    Case(
        name="setup that aborts before iterations",
        options='{"iterations":3}',
        javascript="export function setup(){ exec.test.abort('early'); } export default function(){} export function teardown(){ seen('down'); }",
        python="def setup(): abort('early')\ndef default(): pass\ndef teardown(data): seen('down')",
    ),
    Case(
        name="setup that raises, with checks and a teardown",
        options='{"iterations":3,"thresholds":{"checks":["rate==1"]}}',
        javascript="export function setup(){ seen('up'); throw new Error('no'); } export default function(){} export function teardown(){ seen('down'); }",
        python="def setup():\n  seen('up'); raise ValueError('no')\ndef default(): pass\ndef teardown(data): seen('down')",
    ),
    Case(
        name="teardown that raises, with a threshold that is crossed",
        options='{"iterations":2,"thresholds":{"checks":["rate==0"]}}',
        javascript="export default function(){ seen('it'); } export function teardown(){ throw new Error('no'); }",
        python="def default(): seen('it')\ndef teardown(data): raise ValueError('no')",
    ),
    Case(
        name="every iteration raises, with a threshold on iterations",
        options='{"vus":2,"iterations":4,"thresholds":{"iterations":["count==4"],"iteration_duration":["max>=0"]}}',
        javascript="export default function(){ check(1,{a:()=>true}); throw new Error('no'); }",
        python="def default():\n  check(1,{'a':True}); raise ValueError('no')",
    ),
    Case(
        name="a check that raises inside of a group that raises",
        options='{"iterations":2}',
        javascript="export default function(){ group('g',()=>{ check(1,{a:()=>true}); throw new Error('x'); }); check(1,{never:()=>true}); }",
        python="def default():\n  def inner():\n    check(1,{'a':True}); raise ValueError('x')\n  group('g',inner)\n  check(1,{'never':True})",
    ),
    Case(
        name="setup gives a number, then teardown",
        options='{"iterations":2}',
        javascript="export function setup(){ return 0; } export default function(d){ seen(d===0); } export function teardown(d){ seen(d+1); }",
        python="def setup(): return 0\ndef default(d): seen(str(d==0).lower())\ndef teardown(d): seen(d+1)",
    ),
    Case(
        name="setup gives a list of lists",
        options='{"iterations":2}',
        javascript="export function setup(){ return [[1],[2,[3]]]; } export default function(d){ seen(d[1][1][0]); d[1][1][0]=9; }",
        python="def setup(): return [[1],[2,[3]]]\ndef default(d):\n  seen(d[1][1][0]); d[1][1][0]=9",
    ),
    Case(
        name="names of checks: empty, long, quotes and a line break",
        options='{"iterations":1}',
        javascript="export default function(){ check(1,{'':()=>true,'\"q\" \\'s\\'':()=>true,'tab\\there':()=>false,'  spaces  ':()=>true,['n'.repeat(150)]:()=>true}); }",
        python="def default(): check(1,{'':True,'\"q\" \\'s\\'':True,'tab\\there':False,'  spaces  ':True,'n'*150:True})",
    ),
    Case(
        name="a check of all that is false",
        options='{"iterations":1,"thresholds":{"checks{check:zero}":["rate==0"],"checks":["rate<0.6"]}}',
        javascript="export default function(){ check(0,{zero:(v)=>v,text:(v)=>'',none:()=>null,one:()=>1,word:()=>'x'}); }",
        python="def default(): check(0,{'zero':lambda v:v,'text':lambda v:'','none':lambda v:None,'one':lambda v:1,'word':lambda v:'x'})",
    ),
    Case(
        name="tags on checks and groups in thresholds",
        options='{"iterations":2,"thresholds":{"checks{mine:x}":["rate==1"],"checks{group:::a::b}":["rate==1"],"tt{group:::a,mine:y}":["count==2"]}}',
        javascript="import { Trend } from 'k6/metrics'; const t=new Trend('tt'); export default function(){ check(1,{one:()=>true},{mine:'x'}); group('a',()=>{ t.add(1,{mine:'y'}); group('b',()=>check(1,{two:()=>true})); }); }",
        python="from puregrpc.metrics import Trend\nt=Trend('tt')\ndef default():\n  check(1,{'one':True},{'mine':'x'})\n  def outer():\n    t.add(1,{'mine':'y'}); group('b',lambda:check(1,{'two':True}))\n  group('a',outer)",
    ),
    # -- scenarios
    scenario(
        "a stage of no time between",
        '{"executor":"ramping-vus","startVUs":1,"stages":[{"duration":"0s","target":3},{"duration":"1s","target":3},{"duration":"0s","target":0}]}',
        compares_counts=False,
    ),
    scenario(
        "all stages of no time",
        '{"executor":"ramping-vus","startVUs":1,"stages":[{"duration":"0s","target":3}]}',
        compares_summary=False,
    ),
    scenario(
        "arrivals with a stage of no time",
        '{"executor":"ramping-arrival-rate","startRate":1,"preAllocatedVUs":2,"stages":[{"duration":"0s","target":5},{"duration":"1s","target":5}]}',
        compares_counts=False,
    ),
    scenario(
        "arrivals of no time",
        '{"executor":"ramping-arrival-rate","preAllocatedVUs":2,"stages":[{"duration":"0s","target":5}]}',
        compares_summary=False,
    ),
    scenario(
        "arrivals by the hour",
        '{"executor":"constant-arrival-rate","rate":7200,"timeUnit":"1h","duration":"2s","preAllocatedVUs":2}',
        compares_counts=False,
    ),
    scenario(
        "arrivals by the millisecond",
        '{"executor":"constant-arrival-rate","rate":1,"timeUnit":"250ms","duration":"1s","preAllocatedVUs":2}',
        compares_counts=False,
    ),
    scenario(
        "more users before than at most",
        '{"executor":"constant-arrival-rate","rate":1,"duration":"1s","preAllocatedVUs":3,"maxVUs":2}',
    ),
    scenario(
        "a start behind the end of another",
        '{"executor":"shared-iterations","iterations":2,"startTime":"500ms"}, "b": {"executor":"per-vu-iterations","vus":2,"iterations":1,"startTime":"1s"}',
    ),
    scenario(
        "a graceful ramp-down that is no time",
        '{"executor":"ramping-vus","gracefulRampDown":"later","stages":[{"duration":"1s","target":1}]}',
    ),
    scenario("an exec that is missing", '{"executor":"shared-iterations","exec":"nowhere"}'),
    scenario("an unknown key", '{"executor":"shared-iterations","vuss":1}'),
    Case(
        name="interrupted iterations of a ramp down",
        options='{"scenarios":{"a":{"executor":"ramping-vus","startVUs":3,"stages":[{"duration":"1s","target":0}],"gracefulRampDown":"0s","gracefulStop":"0s"}}}',
        javascript="export default function(){ seen('begun'); sleep(30); }",
        python="def default():\n  seen('begun'); sleep(30)",
    ),
    Case(
        name="a graceful ramp-down lets iterations end",
        options='{"scenarios":{"a":{"executor":"ramping-vus","startVUs":2,"stages":[{"duration":"500ms","target":0}],"gracefulRampDown":"5s"}}}',
        javascript="export default function(){ sleep(1.2); seen('ended'); }",
        python="def default():\n  sleep(1.2); seen('ended')",
    ),
    Case(
        name="abort while another scenario has not begun",
        options='{"scenarios":{"a":{"executor":"shared-iterations","exec":"one"},"b":{"executor":"shared-iterations","startTime":"10s","exec":"two"}}}',
        javascript="export function one(){ exec.test.abort(); } export function two(){ seen('never'); } export function teardown(){ seen('down'); }",
        python="def one(): abort()\ndef two(): seen('never')\ndef teardown(data): seen('down')",
    ),
    # -- flags
    flags("flag: no columns", "--summary-trend-stats", ""),
    flags("flag: a tag with two signs", "--tag", "a=b=c"),
    flags("flag: a variable without a value", "-e", "NAME"),
    flags("flag: more users than iterations", "--vus", "5", text='{"iterations": 2}'),
    # -- streams and responses
    Case(
        name="responses that are thrown away",
        options='{"iterations":2,"thresholds":{"grpc_req_duration":["max>=0"]}}',
        javascript="export default function(){ client.connect(TARGET,{plaintext:true}); const r=client.invoke('hello.HelloService/SayHello',{greeting:'a'},{discardResponseMessage:true}); check(r,{'is none':(r)=>r.message===null,'no error':(r)=>r.error===null}); client.close(); }",
        python="def default():\n  client.connect(TARGET,{'plaintext':True}); r=client.invoke('hello.HelloService/SayHello',{'greeting':'a'},{'discardResponseMessage':True}); check(r,{'is none':r.message is None,'no error':r.error is None}); client.close()",
    ),
    Case(
        name="a stream that nobody listens to",
        options='{"iterations":2}',
        javascript="export default function(){ client.connect(TARGET,{plaintext:true}); const s=new grpc.Stream(client,'hello.HelloService/LotsOfReplies'); s.write({greeting:'a'}); s.end(); sleep(0.5); client.close(); }",
        python="def default():\n  client.connect(TARGET,{'plaintext':True}); s=client.stream('hello.HelloService/LotsOfReplies'); s.write({'greeting':'a'}); s.end(); sleep(0.5); client.close()",
        compares_counts=False,
    ),
    Case(
        name="streams in a group, with a tag of the run",
        options='{"iterations":2,"tags":{"run":"r"},"thresholds":{"grpc_streams{group:::g}":["count==2"],"grpc_streams_msgs_sent{group:::g}":["count==2"]}}',
        javascript="export default function(){ group('g',()=>{ client.connect(TARGET,{plaintext:true}); const s=new grpc.Stream(client,'hello.HelloService/LotsOfReplies'); s.on('end',()=>client.close()); s.write({greeting:'a'}); s.end(); }); }",
        python="def default():\n  def inner():\n    client.connect(TARGET,{'plaintext':True}); s=client.stream('hello.HelloService/LotsOfReplies'); s.on('end',lambda *a:client.close()); s.write({'greeting':'a'}); s.end()\n  group('g',inner)",
    ),
    Case(
        name="a request that does not fit its type",
        options='{"iterations":2}',
        javascript="export default function(){ client.connect(TARGET,{plaintext:true}); seen('before'); client.invoke('hello.HelloService/SayHello',{greeting:{a:1}}); seen('never'); }",
        python="def default():\n  client.connect(TARGET,{'plaintext':True}); seen('before'); client.invoke('hello.HelloService/SayHello',{'greeting':{'a':1}}); seen('never')",
    ),
    Case(
        name="a method that is not there, and one without a service",
        options='{"iterations":1}',
        javascript="export default function(){ client.connect(TARGET,{plaintext:true}); for (const m of ['hello.HelloService/Nothing','SayHello','/','a/b/c',' hello.HelloService/SayHello']) { try { client.invoke(m,{}); seen('ok'); } catch (e) { seen('raised'); } } client.close(); }",
        python="def default():\n  client.connect(TARGET,{'plaintext':True})\n  for m in ['hello.HelloService/Nothing','SayHello','/','a/b/c',' hello.HelloService/SayHello']:\n    try:\n      client.invoke(m,{}); seen('ok')\n    except Exception: seen('raised')\n  client.close()",
    ),
]
