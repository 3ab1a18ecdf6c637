"""Synthetic blood smears for the demo and for tests, with known cells and labels.

`archive` writes a zip of labelled images, or yields single ones. An image is drawn in this order:
`shapes` (signed distances) -> `cells` (white cells) -> `smear` (the field of view: plasma, red
cells, platelets) -> `camera` (light, noise, augmented copies). `laboratory` has two sets of stain,
lamp and camera: one for training, and one that must raise a drift alarm.

Equal seeds and library versions give equal bytes.
"""
