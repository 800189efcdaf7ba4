"""Judge a publication's claims from a set of bundles.

A `reference` holds what was published, its `claim`s as a `formula` each. `eligible` bundles are
grouped into `comparable` sets; `quantities` turns their records into values of a formula, as an
`estimate` with its interval; `judge` compares it with the published figure and its `noise`, and
writes a `verdict`. `needed_runs` says what would decide an inconclusive claim. `audit` needs no
bundle: it compares what was published with itself and with public facts.
"""
