"""Export: from the Keras bundle to the bundle that the service loads.

1. `export` converts the model to OpenVINO and prepares faster engines, fastest first.
2. `parity` takes the first engine whose predictions match Keras's on images of the test part.

When it fails: no engine passed the parity check. The error lists agreement and loss of accuracy of
each engine; look for a change of OpenVINO or Keras before you change `gate.min_parity`.
"""
