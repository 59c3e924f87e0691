"""
Steward beside what else an assistant could hand its records to, each in an environment of its own.

    python -m tests.benchmarks.rivals
"""
