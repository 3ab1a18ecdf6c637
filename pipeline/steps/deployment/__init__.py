"""Deployment: from a served bundle to a container image.

1. `build` packs the bundle into a Bento, serves it (`smoke_check`) and replays its golden images.
2. `container_image` builds the image with docker, podman or buildah, and pushes it when
   IMAGE_REGISTRY is set.

When it fails: a differing golden image means that the packaged service computes other probabilities
than training did; look for a change of preprocessing or of the engine. A failed builder's output is
in the error.
"""
