"""OpenVINO: inference of the served model, and the steps that make its graph faster.

- `compiled`: compile, save and inspect a graph; every other module starts OpenVINO through it
- `engine`: probabilities and embeddings of an exported bundle, for serving
- `frozen`, `regions`: the frozen convolutions and the region means, which fill the feature cache
- `low_rank`, `quantization`: fewer multiplications, then 8-bit integers
- `occlusion`: the evidence map of a prediction
- `pyfunc`: the served bundle as an MLflow model

It imports neither Keras nor storage. `tests/unit/engine` compares every graph with Keras or with
its float32 original; `steps/export` repeats that on real images and serves what passes.
"""
