"""Cells: which photographs show one cell, and to which part of the split each cell belongs.

Steps in order: `group` (group and cell of each image, with `naming` and the search in `matching/`),
`data_gate` (quarantine cells under two labels, with `contradictions` and `data_gate_page`), `split`
(assign groups to parts, with `assignment`, and extend the `lock` of the test part).

When it fails: a refused dataset has a page with the contradicting pairs; correct the labels or add
images of other cells. A lost race for the lock can be repeated. Restore a damaged
`locks/<name>.json` from a backup, and never delete it: test images would leak into training.
"""
