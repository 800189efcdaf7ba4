"""What a report shows, from bundles to text, tables, pictures and one page; pure values.

`summary` computes every figure once; the other modules only show them. `frames` and `pictures`
load pandas and matplotlib, so nothing imports them before a report is asked for.
"""
