"""Drift: the test of a window against the reference, and its report.

`detect` is the step: it reads window and reference, calls `compare`, and writes `drift.json`, the
page (`drift_page`) and Evidently's report. `compare` combines `class_mix` (stratified matching),
`columns` (distances and alarm thresholds, by the energy distance of `two_sample`), `quality`
(images without a cell) and `messages` (the texts). `alarm_rate` repeats the test on windows drawn
from an archive. A window that is too small is not an error: its result is `not_enough`.
"""
