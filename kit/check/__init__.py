"""Checks of a submitted bundle, in tiers; pure: bytes in, findings out.

Nothing that a bundle contains is executed or followed. A tier looks at what the tiers before it
let through, and says "could not check" where there is nothing left to look at.
"""
