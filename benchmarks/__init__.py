"""Benchmarks: ratios against named baselines, measured in one run.

`python -m benchmarks [PART ...]` (`make bench`) measures the parts of `service`, `training` and
`statistics` that have a function `rows()`, prints one table and writes `results.json`. Shared:
`measure` (timing, rows of the table), `images` (test images), `isolated_settings` (own store).
Run by their own module name: `statistics.gate_errors`, `statistics.calibration_errors` and
`fuzz_decoder`.

When it fails: `results.json` has the rows of the parts that finished; run the others by name.
"""
