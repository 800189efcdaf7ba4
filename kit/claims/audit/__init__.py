"""`kit audit`: what of a publication follows from its own figures, other runs and public facts.

Nothing is measured here, and no rule knows a publication: `tables` holds tables and claims against
themselves and each other, `statements` holds what was said against public facts (`facts`), and
`data` holds an author's data files, as `raw` reads them, against what was published of them.
"""
