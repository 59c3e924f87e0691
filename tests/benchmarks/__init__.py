"""
How fast Steward is, end to end, as ratios against baselines of the same run: machines differ, ratios less so.

    python -m tests.benchmarks
"""
