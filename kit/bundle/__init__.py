"""The bundle: what is stored of a run, and its file formats."""
