"""Formats and bit depths of images, for training and serving; only `decoding` imports the readers.

- `image_formats`: which formats are read, and the checks of a header before pixels are decoded
- `bit_depth`: pixels of more than 8 bits, scaled to 8

InvalidInputError names a format that is not read. Pillow's own exceptions for damaged files pass
through; `decoding.decode` translates them.
"""
