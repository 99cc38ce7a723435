"""Benchmarks beside peers, as ratios of one run: these machines are noisy, ratios less so."""
