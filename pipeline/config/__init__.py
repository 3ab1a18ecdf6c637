"""Every limit, share, margin and hyper-parameter of a run, one module per subject.

- `archive_limits`: size, ratio and number of members of an archive; images read from it
- `validation_limits`: smallest and largest image, images per class, share of unusable images
- `matching_limits`: keypoints that two images of one cell share
- `data_gate_limits`: share of images with contradictory labels
- `split_shares`: sizes of the test, validation and reserve part
- `hyperparameters`: frozen layers, jitter, learning rate, penalty, epochs
- `review_targets`: share accepted without review
- `evaluation`: prevalence, resamples; `crossval`: folds of a cross-validation
- `promotion_gate_limits`: accuracy, loss against the champion, latency and size
- `returned_label_limits`: returned labels that become an archive

`run_config` composes them to `RunConfig` and reads `configs/NAME.yaml`, whose keys are the names of
its fields. An invalid value is an InvalidInputError that names the file and the key.

Limits of requests are in `bento_service.http.middleware`, of its queue in
`bento_service.inference.work_queue`, of drift in `monitoring.config`.
"""
