"""The network and its training on cached activations, in Keras and scikit-learn.

- `imagenet_weights`: VGG16's weights, downloaded once and verified by hash
- `augmentation`, `feature_cache`: crops of an image, and their stored activations
- `network`, `keras_region_means`: frozen backbone, trained blocks, and the complete model
- `linear_head`: logistic regression on region means; `training_loop`: blocks trained on maps
- `fitted_model`: fits either, with temperature, review rule and `embedding`
- `keras_file`: saves Keras models with reproducible bytes

Equal inputs give equal bundles, bit for bit. If a digest changes, look for an unseeded draw, more
than one BLAS thread, or a renamed Keras layer: the names are part of the saved file.
"""
