"""Experiments: measurements outside the DAG that promote nothing.

- `crossval` cross-validates a config's recipe on the cells outside the locked test part; `folds`
  assigns groups to folds.
- `novelty` measures how well uncertainty separates images of an unknown class or another
  laboratory from in-domain images; `leukoflow evaluate` reports it, too.

When it fails: a class with fewer groups than folds needs fewer folds or more labelled cells. A run
that ran out of memory can be repeated; the cached activations are reused.
"""
