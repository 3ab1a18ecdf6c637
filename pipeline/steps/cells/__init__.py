"""Cells: which photographs show one cell, and to which part of the split each cell belongs.

1. `group` finds the group and the cell of each image: by name (`group_and_cell`), else by searching
   near-duplicates (`matching/`).
2. `data_gate` quarantines cells under two labels (`contradictions`, `data_gate_page`).
3. `split` assigns groups to train, validation and test (`split_assignment`) and locks the test
   images (`locked_images`).

When it fails: a refused dataset has a page with the contradicting pairs; correct the labels or add
images of other cells. A lost race for the lock can be repeated. Restore a damaged
`locks/<name>.json` from a backup, and never delete it: test images would leak into training.
"""
