"""What schemathesis sends where the service's description says `binary` or base64: photographs."""

import base64

import schemathesis
from hypothesis import strategies as st

from tests.conftest import draw_cell

_IMAGES = st.builds(
    draw_cell, st.integers(0, 3), width=st.integers(60, 90), height=st.integers(60, 90)
)
schemathesis.openapi.format("binary", _IMAGES)
schemathesis.openapi.format("byte", _IMAGES.map(lambda data: base64.b64encode(data).decode()))
