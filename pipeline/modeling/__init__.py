"""The network and its training on cached activations, in Keras and scikit-learn.

- `weights`: ImageNet's VGG16, downloaded once and verified by hash
- `augmentation`, `feature_cache`: crops of an image, and their stored activations
- `network`, `keras_regions`: the frozen backbone, the trained blocks, and the complete model
- `head`: logistic regression on region means; `fit`: the training loop of blocks on maps
- `fitted_model`: weights with temperature, review rule and embedding; `projection`: that embedding
- `saving`: Keras models with reproducible bytes

Equal inputs give equal bundles, bit for bit. If a digest changes, look for an unseeded draw, more
than one BLAS thread, or a renamed Keras layer: the names are part of the saved file.
"""
