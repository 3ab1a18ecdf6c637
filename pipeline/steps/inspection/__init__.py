"""Inspection: the dry run of archives up to the split, for a person before the first training.

One step, `inspect`, runs the steps of `dataset` and `cells` in a temporary store.

When it fails: a refusal of a step is a result. Without space in the temporary folder for a second
copy of the archives, set TMPDIR to a larger one.
"""
