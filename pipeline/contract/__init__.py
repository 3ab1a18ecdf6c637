"""The contract that training and serving share: formats, and the code from bytes to crop.

- `spec`: the model's contract; `golden`: images that a model must reproduce
- `decoding`, `locating`, `morphology`, `box`, `preprocessing`: from bytes to crop
- `decision`: accept or review; `image_stats`: statistics of an image, for drift
- `prediction_log`, `feedback`: lines that the service writes and the pipeline reads

It imports only NumPy, Pillow, SciPy and pydantic. A change of pixels needs a new
`PREPROCESSING_VERSION`: models trained with another version are refused.
"""
