"""Classification: from image bytes to a response, and which model does it.

`loading` fetches a bundle, `bundle` verifies it, `follow` replaces the served model when the
pointer moves, `classifier` runs one image, `work_queue` bounds concurrent work, `multi_image` and
`differential` handle many images, `shadow` scores a challenger, `responses` and `model_card` build
response bodies.

When it fails: a bundle that cannot be verified is never served; the previous model stays. The log
and `leukoflow_reload_failures_total` give the reason.
"""
