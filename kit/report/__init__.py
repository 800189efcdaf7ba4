"""Reports: `kit.figures.summary` and verdicts as text, tables, pages and charts; pure values.

One module per format. None computes a figure; `wording` and `verdict_wording` spell them for all.
`kit.cli` imports what loads jinja2, matplotlib, pandas or rich only when it is needed.
"""
