"""OpenVINO: inference of the served model, and the steps that make its graph faster.

- `openvino_graph`: compile, save and inspect a graph; every other module compiles through it
- `serving_engine`: probabilities and embeddings of an exported bundle
- `frozen_network`, `region_means`: the frozen convolutions, which fill the feature cache
- `low_rank`, `quantization`: fewer multiplications, then 8-bit integers
- `evidence_map`: which parts of a crop speak for the predicted class
- `pyfunc`: the served bundle as an MLflow model

It imports neither Keras nor storage. `tests/unit/engine` compares every graph with Keras or with
its float32 original; `steps/export` repeats that on real images and serves what passes.
"""
