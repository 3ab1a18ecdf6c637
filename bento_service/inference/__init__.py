"""Classification: from image bytes to a response, and which model does it.

- `pointer_follower`: loads the model that the pointer names and replaces the served one
- `model_loading` (fetch, with a timeout), `bundle_verification` (files against the manifest)
- `classifier`: one image to a prediction or an evidence map
- `work_queue`: limits of concurrent and waiting requests
- `multi_image`, `differential`: many images, and the share of each class
- `shadow`: scores a challenger on served images
- `responses`, `model_card`: response bodies

When it fails: a bundle that cannot be verified is never served; the previous model stays. The log
and `leukoflow_reload_failures_total` give the reason.
"""
