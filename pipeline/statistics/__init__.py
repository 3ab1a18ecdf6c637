"""Statistics of a classifier whose images come in groups: pure functions of NumPy arrays.

- `groups`: integer codes of groups; mean probabilities of a cell's images; array types
- `intervals`: resampling of groups, and 95 % confidence intervals
- `paired_comparison`: difference between two models on the same images
- `calibration`: temperature scaling, reliability diagram, expected calibration error
- `review_rule`: fits the limits of accept and review; AUROC
- `folds`: groups to folds

Nothing here reads or writes files. A function raises `ValueError` or `InvalidInputError` on empty
input; an undefined value is None or NaN, as its docstring says.
"""
