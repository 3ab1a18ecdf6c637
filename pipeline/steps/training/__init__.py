"""Training: from a split to a Keras bundle.

1. `featurize` stores the activations at the freeze boundary, one mapped task per shard.
2. `train` fits the layers behind the boundary and publishes the bundle (`bundle_files`).

`examples` turns records into the arrays, labels and weights that both fits and cross-validation
use.

When it fails: both steps can be run again. Packs that `featurize` published and the checkpoint that
`train` writes after each epoch are reused. After an out-of-memory kill lower `features.batch_size`.
"""
