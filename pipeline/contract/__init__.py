"""Code and formats that must be the same in training and in serving.

- `model_contract`: classes, input size and preprocessing version of a model
- `decoding` (bytes to pixels), `locating` (nucleus; with `morphology`), `cell_box`, `preprocessing`
  (crop of the cell for the network)
- `golden_images`: stored images whose probabilities a model must reproduce before it serves
- `decision`: accept or review; `image_stats`: statistics of an image, for drift
- `prediction_log`, `feedback_log`: lines that the service writes and the pipeline reads

It imports only NumPy, Pillow, SciPy and pydantic. A change of pixels needs a new
`PREPROCESSING_VERSION`: models trained with another version are refused.
"""
