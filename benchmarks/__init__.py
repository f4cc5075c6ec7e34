"""Timings as ratios, measured in one process, A B A B. Run as `python -m benchmarks.NAME`."""
