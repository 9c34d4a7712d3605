"""The style sheet of the HTML report: light and dark, narrow and wide, screen and paper."""

from __future__ import annotations

from bptt_check.report.svg import STYLE as PICTURES

_COLOURS = """
:root {
  color-scheme: light dark;
  --page: #fdfdfb; --ink: #1d2328; --muted: #59636d; --rule: #dde1e4; --panel: #f3f4f1;
  --accent: #1d5a94; --right: #1a6e45; --wrong: #b3261e; --unsure: #925c00;
  --c0: #1d5a94; --c1: #a3430d; --c2: #1a6e45; --c3: #7a3b8f; --c4: #59636d;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14181b; --ink: #e4e7e9; --muted: #a1abb4; --rule: #343b41; --panel: #1c2226;
    --accent: #7db7ee; --right: #6fcf9b; --wrong: #ff8f85; --unsure: #e3b341;
    --c0: #7db7ee; --c1: #f2a36b; --c2: #6fcf9b; --c3: #cf9be0; --c4: #a1abb4;
  }
}
"""

_PAGE = """
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem clamp(1rem, 4vw, 2.5rem) 4rem; background: var(--page);
  color: var(--ink); font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; overflow-wrap: anywhere; }
p, li { max-width: 60rem; overflow-wrap: anywhere; }
a { color: var(--accent); }
nav ul { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; padding: 0; margin: 1.25rem 0 0;
  font-size: .9rem; }
.incomplete { border: 2px solid var(--wrong); border-radius: .4rem; padding: .6rem .9rem; color: var(--wrong); }
.outcome { font-size: 1.05rem; }
.badge { display: inline-block; font-weight: 600; white-space: nowrap; }
.outcome .badge { border: 1.5px solid currentColor; border-radius: .4rem; padding: .05rem .6rem; margin-right: .4rem; }
.agrees { color: var(--right); } .disagrees { color: var(--wrong); } .unsure { color: var(--unsure); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .6rem;
  margin: 1.25rem 0 0; }
.figures div { background: var(--panel); border-radius: .4rem; padding: .55rem .8rem; display: flex;
  flex-direction: column-reverse; justify-content: flex-end; }
.figures dt { color: var(--muted); font-size: .82rem; }
.figures dd { margin: 0; font-size: 1.15rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.pairs div { display: grid; grid-template-columns: 11rem 1fr; gap: .1rem 1rem; padding: .3rem 0;
  border-bottom: 1px solid var(--rule); }
.pairs dt { color: var(--muted); overflow-wrap: anywhere; } .pairs dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: 0 0 1rem; background:
  linear-gradient(to right, var(--page) 1.5rem, transparent 3rem) left / 3rem 100% no-repeat local,
  linear-gradient(to left, var(--page) 1.5rem, transparent 3rem) right / 3rem 100% no-repeat local,
  linear-gradient(to right, var(--rule), transparent) left / .6rem 100% no-repeat scroll,
  linear-gradient(to left, var(--rule), transparent) right / .6rem 100% no-repeat scroll; }
.scroll:focus-visible, pre:focus-visible, summary:focus-visible { outline: 2px solid var(--accent);
  outline-offset: 2px; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; min-width: 24rem; }
caption { text-align: left; color: var(--muted); padding: 0 0 .4rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--rule); }
thead th { color: var(--muted); font-weight: 600; border-bottom: 1.5px solid var(--muted); vertical-align: bottom; }
tbody th { font-weight: 600; }
tbody tr:hover { background: var(--panel); }
td.number, th.number { text-align: right; white-space: nowrap; }
thead th.number { white-space: normal; }
tbody .name, tbody .case, tbody .index, pre {
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; }
tbody .name { font-size: .84rem; overflow-wrap: anywhere; min-width: 4.5rem; }
td.name { min-width: 8.5rem; }
.ledger tbody th.name { min-width: 2.4rem; white-space: nowrap; } .ledger .equation { min-width: 24rem; }
.formula { font: 1.08rem/1.9 "STIX Two Math", "Cambria Math", "Latin Modern Math", serif; }
math { white-space: nowrap; }
.where { color: var(--muted); font: .7rem/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  overflow-wrap: anywhere; }
tbody .case, tbody .index { font-size: .84rem; overflow-wrap: anywhere; }
tbody .case { min-width: 15rem; } td.note { min-width: 9rem; } td.index { white-space: nowrap; }
thead button { all: unset; cursor: pointer; color: inherit; font: inherit; }
thead button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
thead button:hover { color: var(--accent); }
th[aria-sort] button::after { content: "\\00a0▲"; font-size: .7em; }
th[aria-sort="descending"] button::after { content: "\\00a0▼"; }
.tag { color: var(--muted); font-weight: 400; font-size: .85rem; }
h3 .badge { margin-left: .5rem; font-size: .9rem; }
.causes { list-style: none; padding: .6rem .9rem; margin: .75rem 0; background: var(--panel); border-radius: .4rem; }
.causes p, .causes .pairs { margin: .25rem 0; } .causes .pairs dt { font-size: .88rem; }
.causes .pairs div { border: 0; padding: .1rem 0; grid-template-columns: 12rem 1fr; }
.causes li + li { margin-top: .5rem; padding-top: .5rem; border-top: 1px solid var(--rule); }
code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace; font-size: .9em; }
figure { margin: 1rem 0 1.5rem; }
figure .scroll { margin: 0; } figure svg { min-width: 38rem; max-width: 60rem; }
figcaption { color: var(--muted); font-size: .88rem; max-width: 48rem; margin-top: .5rem; }
details { margin: .5rem 0 1rem; } summary h3 { display: inline; } summary { cursor: pointer; color: var(--accent); }
article { border-left: 3px solid var(--rule); padding-left: 1rem; margin: 1.25rem 0; }
pre { background: var(--panel); border-radius: .4rem; padding: .8rem 1rem; font-size: .84rem; white-space: pre-wrap;
  overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  .pairs div, .causes .pairs div { grid-template-columns: 1fr; } .figures { grid-template-columns: 1fr 1fr; }
  .figures { gap: .4rem; } .figures div { padding: .35rem .6rem; } .figures dd { font-size: 1rem; }
  article { padding-left: .7rem; } ul { padding-left: 1.2rem; } nav ul { padding-left: 0; }
  ul.causes { padding: .5rem .7rem; }
  .scroll th:first-child { position: sticky; left: 0; background: var(--page); }
  figure svg { min-width: 34rem; }
}
"""

_PAPER = """
@media print {
  :root { --page: #fff; --ink: #000; --muted: #444; --rule: #bbb; --panel: #fff; --accent: #1d5a94; --right: #1a6e45;
    --wrong: #b3261e; --unsure: #925c00; --c0: #1d5a94; --c1: #a3430d; --c2: #1a6e45; --c3: #7a3b8f; --c4: #444; }
  body { max-width: none; padding: 0; font-size: 9.5pt; }
  nav { display: none; }
  .scroll { overflow: visible; background: none; } figure svg { min-width: 0; }
  table { font-size: 7.5pt; min-width: 0; } th, td { padding-right: .5rem; }
  tbody .case, td.note, td.name, .ledger .equation { min-width: 0; }
  figure svg { width: auto; max-width: 100%; max-height: 16cm; }
  figure, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  thead { display: table-header-group; break-inside: avoid; }
}
"""

STYLE = _COLOURS + _PAGE + PICTURES + _PAPER
