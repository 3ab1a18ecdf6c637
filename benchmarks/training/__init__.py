"""Benchmarks of feature extraction, training, retraining and the whole pipeline.

Parts: `extraction`, `cached_activations`, `retrain` and `whole_archive`, which needs the archive in
`TEST_DATA` and is skipped without it. The others use `random_weights`.
"""
