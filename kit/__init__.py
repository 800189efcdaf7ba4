"""A reproducibility kit for LLM-serving benchmarks.

One way through: spec, plan, run, record, bundle, check, report.
"""

__version__ = "0.1.0"
