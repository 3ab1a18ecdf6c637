"""What /docs.json says: BentoML's description, put right where the guard answers in its place."""

from http import HTTPStatus
from typing import Any

from bento_service.bodies import BODIES, Body
from bento_service.refusal import ErrorBody

_REFUSALS = (400, 408, 413, 415, 422, 429, 503, 504)
"""What any route that takes a body may say."""
_PHOTOGRAPH = {"type": "string", "format": "binary"}
Described = dict[str, Any]


def put_right(described: Described) -> Described:
    """BentoML's OpenAPI with our bodies, and with our errors in place of its own."""
    described["openapi"] = "3.1.0"  # FastAPI and pydantic write the schemas of 3.1
    described["components"]["schemas"]["ErrorBody"] = _inlined(ErrorBody.model_json_schema())
    for path, body in BODIES.items():
        operation = described["paths"][path]["post"]
        kept = {
            str(status): said
            for status, said in operation["responses"].items()
            if int(status) < HTTPStatus.BAD_REQUEST or int(status) == HTTPStatus.UNAUTHORIZED
        }
        operation["responses"] = kept | {str(status): _refusal(status) for status in _REFUSALS}
        operation["requestBody"]["required"] = True
        if body.field:
            operation["requestBody"]["content"] = {body.kind: _form(body)}
    described["paths"]["/readyz"]["get"]["responses"]["503"] = _refusal(503)
    return described


def _refusal(status: int) -> Described:
    schema = {"$ref": "#/components/schemas/ErrorBody"}
    return {
        "description": HTTPStatus(status).phrase,
        "content": {"application/json": {"schema": schema}},
    }


def _form(body: Body) -> Described:
    many = {"type": "array", "items": _PHOTOGRAPH, "minItems": 1, "maxItems": body.most}
    return {
        "schema": {
            "type": "object",
            "required": [body.field],
            "properties": {body.field: many if body.most > 1 else _PHOTOGRAPH},
            "additionalProperties": False,
        }
    }


def _inlined(schema: Described) -> Described:
    """The schema without references into itself, which would point nowhere in the document."""
    parts = schema.pop("$defs")
    schema["properties"]["error"] = parts["ErrorDetail"]
    return schema
