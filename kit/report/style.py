"""The page's style sheet: light, dark, narrow screens and paper; loads nothing."""

CSS = """
:root { color-scheme: light dark;
  --ink: #1a1c21; --faint: #646973; --paper: #ffffff; --shade: #f2f3f5; --line: #d4d7dc;
  --blue: #0072b2; --pass: #00664b; --fail: #a83200; --warn: #805400; }
@media (prefers-color-scheme: dark) { :root {
  --ink: #e8eaed; --faint: #a3a8b2; --paper: #16181c; --shade: #22252b; --line: #3c4048;
  --blue: #4aa3e0; --pass: #4fd1a5; --fail: #ff9466; --warn: #f0bd4f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 52rem; overflow-wrap: anywhere;
  background: var(--paper); color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; padding-top: .75rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p, ul, dl { margin: .5rem 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .75rem;
  margin: 1rem 0; }
.card { background: var(--shade); border-radius: .5rem; padding: .75rem 1rem; }
.card b { display: block; font-size: 1.7rem; line-height: 1.2; }
.card span, small, figcaption { color: var(--faint); font-size: .875rem; }
.note { border-left: .25rem solid var(--warn); padding: .25rem .75rem; background: var(--shade); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; overflow-wrap: normal;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--faint); padding: .25rem 0; }
th, td { padding: .3rem .45rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; }
thead th { vertical-align: bottom; }
th.n, td.n { text-align: right; } td.n { white-space: nowrap; }
tbody th { min-width: 6.5rem; overflow-wrap: anywhere; }
.facts th { width: 11rem; font-weight: 600; }
.facts td { overflow-wrap: anywhere; }
.pass { color: var(--pass); } .fail { color: var(--fail); }
.warn, .could-not-check { color: var(--warn); }
figure { margin: 1.5rem 0; max-width: 42rem; }
figure svg { width: 100%; height: auto; display: block; }
code { font-family: ui-monospace, monospace; font-size: .9em; }
dt { font-weight: 600; margin-top: .5rem; } dd { margin: 0 0 0 1rem; }
summary { cursor: pointer; }
@media (max-width: 30rem) { figure { margin: 1rem -.5rem; } .facts th { width: 7rem; } }
@media print { :root { --ink: #000; --faint: #444; --paper: #fff; --shade: #f2f3f5; --line: #bbb; }
  body { max-width: none; padding: 0; } figure, .card, tr { break-inside: avoid; }
  h2, h3, dt { break-after: avoid; } figure { max-width: 28rem; }
  .scroll { overflow: visible; } table { font-size: .75rem; } }
"""
