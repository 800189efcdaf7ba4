"""Tier 7, claims: what a set of bundles says of a reference's claims, as `kit.reference` has them.

`witness` says which bundles may speak, `comparable` with which others; `quantities` makes estimates
of their records; `estimate` reckons with these; `judge` holds a claim's formula against the
published figure; `power` says what would decide a claim that is inconclusive.
"""
