"""What a run does, one module per phase: limits, sizes, hyper-parameters, floors and margins.

`run` composes them to `RunConfig` and reads `configs/NAME.yaml`, whose keys are the names of its
fields. An invalid value is an InvalidInputError that names the file and the key.
"""
