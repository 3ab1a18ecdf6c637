"""Statistics of a classifier whose images come in groups: pure functions of NumPy arrays.

- `metrics`: votes of a cell's images, codes of groups; the `Interval` type
- `intervals`: resampling of groups, and 95 % confidence intervals
- `paired`: difference between two models on the same images
- `calibration`: temperature scaling, reliability diagram, expected calibration error
- `review`: thresholds of the review rule, AUROC
- `folds`: groups to folds

Nothing here reads or writes files. A function raises `ValueError` or `InvalidInputError` on empty
input; an undefined value is None or NaN, as its docstring says.
"""
