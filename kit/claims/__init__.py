"""Tier 7, claims: what a set of bundles says of a reference's claims (`kit.claims.reference`).

`eligible` says which bundles may speak, `comparable` with which others; `quantities` makes
estimates of their records; `estimate` reckons with these; `judge` holds a claim's formula against
the published figure; `needed_runs` says what would decide a claim that is inconclusive.
"""
