"""Stylesheet of the results page: light and dark, no external resources."""

STYLE = """
:root { color-scheme: light dark;
  --paper: light-dark(#fbfaf8, #16181c); --card: light-dark(#ffffff, #1e2127);
  --ink: light-dark(#1c1e22, #e8e6e1); --faint: light-dark(#6c7077, #9aa0a8);
  --line: light-dark(#e4e1db, #32363d); --heat: light-dark(#0b6e62, #35b8a4);
  --wrong: light-dark(#c0392b, #ff7a6b); }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 2rem 4rem; max-width: 1320px; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums; }
h1 { font-size: 1.7rem; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 1.15rem; margin: 2.6rem 0 .2rem; } h3 { font-size: .95rem; margin: 0 0 .5rem; }
p { margin: .3rem 0; } .note { color: var(--faint); max-width: 110ch; }
code { font: .92em ui-monospace, monospace; }
.tiles { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.4rem 0 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: .7rem 1.1rem; min-width: 8.5rem; }
.tile b { display: block; font-size: 1.7rem; line-height: 1.2; } .tile span { color: var(--faint); }
.tile.mean { border-color: var(--heat); border-width: 2px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 1rem; margin-top: .8rem; overflow-x: auto; }
.failed { border-color: var(--wrong); } .failed h3 { color: var(--wrong); }
table { border-collapse: separate; border-spacing: 2px; }
th { font-weight: 500; text-align: left; padding: .1rem .5rem .1rem 0; white-space: nowrap; }
thead th { vertical-align: bottom; padding: 0; }
thead th div { writing-mode: vertical-rl; transform: rotate(180deg); padding: .3rem 0;
  margin: 0 auto; }
thead .chip { margin: 0 0 .4rem; } .wide { width: 100%; }
td.heat { --mix: calc(var(--v) * 85%); border-radius: 3px; text-align: center; padding: .3rem 0;
  min-width: 2.75rem; background: color-mix(in oklab, var(--heat) var(--mix), var(--card)); }
td.dark { color: light-dark(#fff, #08110f); } td.none { color: var(--faint); }
td.sum { border-left: 2px solid var(--line); font-weight: 650; }
.matrix { border-spacing: 1px; font-size: .72rem; }
.matrix td.heat { min-width: 0; width: 1.2rem; height: 1.2rem; padding: 0; border-radius: 2px; }
.matrix td.right { box-shadow: inset 0 0 0 1px var(--faint); }
.matrix th { padding-right: .4rem; } .matrix thead th div { padding: 0 0 .3rem; }
.grid { display: grid; gap: .8rem; grid-template-columns: repeat(auto-fit, minmax(540px, 1fr)); }
.grid .card { margin: .8rem 0 0; } .grid + .grid .card { margin-top: 0; }
.chip { display: inline-block; width: .7rem; height: .7rem; border-radius: 3px;
  margin-right: .45rem; box-shadow: inset 0 0 0 1px #8884; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; margin: .8rem 0 0; font-size: .85rem; }
figure { margin: 0 0 1rem; } figure img { width: 100%; display: block; border-radius: 6px; }
figcaption { font-size: .85rem; color: var(--faint); padding-top: .25rem; }
figcaption b { color: var(--ink); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.2rem; margin: 0; }
dt { color: var(--faint); } dd { margin: 0; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; } svg text { font-size: 11px; fill: var(--faint); }
svg .axis { stroke: var(--line); } svg .curve { fill: none; stroke: var(--heat); }
svg .bar { fill: var(--heat); opacity: .8; } svg .share { fill: var(--faint); opacity: .6; }
svg .ideal { stroke: var(--ink); stroke-dasharray: 4 3; }
.numbers td { text-align: right; padding-left: 1.2rem; } .numbers thead th { padding: 0 0 .2rem;
  text-align: right; padding-left: 1.2rem; } .numbers thead th:first-child { text-align: left;
  padding-left: 0; }
.grid.small { grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); }
svg .raw { fill: none; stroke: var(--heat); opacity: .28; }
@media print { .card { break-inside: avoid; } }
"""
