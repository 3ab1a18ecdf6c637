"""Near-duplicate search: which photographs show the same cell.

Modules in order: `keypoints` (SIFT keypoints of one image), `fingerprint` (keypoints, nucleus and
coverage: all that the search keeps of one image), `keypoint_vectors` (one vector per image, for
candidates), `overlap` (the affine map between two images), `near_duplicates` (the search).

When two photographs of one cell are not matched, or two cells are: compare the pair on the data
gate's page, then check `group.min_inliers` in the config and
docs/decisions/0007-near-duplicates.md. A change of any answer needs a new `_SEARCH` in `group.py`.
"""
