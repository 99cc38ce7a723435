"""Benchmarks of the function and other programs ("peers"). Results are ratios within one run,
because times on a machine vary more than ratios do."""
