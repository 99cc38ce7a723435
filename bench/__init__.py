"""Benchmarks of the function and other programs ("peers"). A result is a ratio of two values of the
same run, because times vary more from run to run than their ratios do."""
