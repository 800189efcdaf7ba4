"""`kit audit`: what of a publication follows from its own figures, other runs and public facts.

Nothing is measured, and no rule is written for one publication. `tables` compares figures and
claims with each other, `statements` compares what was said with public facts (`facts`), and
`raw_files` compares an author's data files, as `raw_format` reads them, with what was published.
"""
