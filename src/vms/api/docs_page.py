"""The page at /docs: the interface's description as a person reads it, without anything from outside."""

from __future__ import annotations

import base64
import hashlib

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:62rem;padding:1.5rem;color:#1b2430;background:#fafbfc}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem;text-transform:capitalize}
details{border:1px solid #d8dee6;border-radius:8px;margin:.5rem 0;background:#fff}
summary{cursor:pointer;padding:.6rem .8rem}code,pre{font-family:ui-monospace,monospace;font-size:.85rem}
pre{background:#f2f5f8;padding:.7rem;border-radius:6px;overflow:auto}.in{padding:0 .9rem .8rem}
.m{display:inline-block;min-width:4.8rem;font-weight:700}.get{color:#0a6}.post{color:#06c}.patch,.put{color:#a60}
.delete{color:#c22}table{border-collapse:collapse}td{padding:.15rem .8rem .15rem 0;vertical-align:top}
@media(prefers-color-scheme:dark){body{background:#12171d;color:#d9e0e8}details{background:#1a2129;border-color:#2c3641}
pre{background:#10151a}}
"""

_SCRIPT = """
const make=(tag,text,cls)=>{const e=document.createElement(tag);if(text!==undefined)e.textContent=text;
if(cls)e.className=cls;return e};
const short=s=>!s?'':s.$ref?s.$ref.split('/').pop():s.anyOf?s.anyOf.map(short).join(' | '):
s.enum?s.enum.join(' | '):s.const!==undefined?String(s.const):s.type==='array'?short(s.items)+'[]':
(s.format||s.type||'any');
fetch('/openapi.json').then(r=>r.json()).then(api=>{
const root=document.querySelector('main');root.append(make('h1',api.info.title+' '+api.info.version));
root.append(make('p',api.info.description));const groups={};
for(const[path,ops]of Object.entries(api.paths))for(const[verb,op]of Object.entries(ops))
(groups[(op.tags||['other'])[0]]??=[]).push({path,verb,op});
const schema=name=>{const s=api.components.schemas[name];if(!s)return make('p',name);
if(!s.properties)return make('p',name+': '+short(s));
const t=make('table');for(const[k,v]of Object.entries(s.properties)){const r=make('tr');
r.append(make('td',k+((s.required||[]).includes(k)?' *':'')),make('td',short(v)),make('td',v.description||''));
t.append(r)}return t};
for(const[tag,list]of Object.entries(groups)){root.append(make('h2',tag));
for(const{path,verb,op}of list){const d=make('details'),s=make('summary'),b=make('div',undefined,'in');
s.append(make('span',verb.toUpperCase(),'m '+verb),make('code',path));d.append(s,b);root.append(d);
b.append(make('p',op.description||op.summary));
if(op.parameters?.length){b.append(make('h4','Parameters'));const t=make('table');for(const p of op.parameters){
const r=make('tr');r.append(make('td',p.name+(p.required?' *':'')),make('td',p.in),make('td',short(p.schema)),
make('td',p.description||''));t.append(r)}b.append(t)}
for(const[type,c]of Object.entries(op.requestBody?.content||{})){b.append(make('h4','Body: '+type));
const n=short(c.schema);b.append(schema(n))}
b.append(make('h4','Answers'));for(const[code,r]of Object.entries(op.responses)){
b.append(make('p',code+' '+(r.description||'')));const c=r.content?.['application/json'];
if(c?.schema?.$ref)b.append(schema(short(c.schema)))}}}});
"""


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>VMS API</title>'
    '<meta name="viewport" content="width=device-width,initial-scale=1">'
    f"<style>{_STYLE}</style></head><body><main></main><script>{_SCRIPT}</script></body></html>"
)
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; connect-src 'self'; style-src {_source(_STYLE)}; script-src {_source(_SCRIPT)}; "
    "frame-ancestors 'none'; base-uri 'none'"
)
