"""What /docs.json says: BentoML's description, put right where the guard answers in its place."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from bento_service.http.api_keys import Door
from bento_service.http.bodies import BODIES, Body
from bento_service.http.errors import ErrorBody

_REFUSALS = (400, 401, 408, 413, 415, 422, 429, 503, 504)
"""What any route that takes a body may say; 401 where a key is asked for."""
_PHOTOGRAPH = {"type": "string", "format": "binary"}
_SCHEMES = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
Described = dict[str, Any]


def put_right(described: Described, labels: Sequence[str], door: Door) -> Described:
    """BentoML's OpenAPI with our bodies, and with our errors in place of its own.

    Args:
        described: is changed.
        labels: that `/feedback` takes; none are named while there is no model.
        door: knows where a key is asked for.
    """
    if labels:
        feedback = described["components"]["schemas"]["FeedbackRequest"]["properties"]
        feedback["label"]["enum"] = list(labels)
    described["openapi"] = "3.1.0"  # FastAPI and pydantic write the schemas of 3.1
    described["components"]["schemas"]["ErrorBody"] = _inlined(ErrorBody.model_json_schema())
    for path, body in BODIES.items():
        operation = described["paths"][path]["post"]
        operation["responses"] = {
            **{
                code: said
                for code, said in operation["responses"].items()
                if int(code) < HTTPStatus.BAD_REQUEST
            },
            **_refusals(*_REFUSALS),
        }
        asked = operation.setdefault("requestBody", {})
        asked["required"] = True
        if body.field:
            asked["content"] = {body.kind: _form(body)}
    described["paths"]["/model"]["get"]["responses"].update(_refusals(401, 503))
    described["paths"]["/readyz"]["get"]["responses"].update(_refusals(503))
    if door.asks:
        _lock(described, door)
    return described


def _lock(described: Described, door: Door) -> None:
    described["components"]["securitySchemes"] = _SCHEMES
    for path, operations in described["paths"].items():
        if not door.is_open(path):
            for operation in operations.values():
                operation["security"] = [{name: []} for name in _SCHEMES]


def _refusals(*statuses: int) -> Described:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}
    return {
        str(status): {"description": HTTPStatus(status).phrase, "content": content}
        for status in statuses
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
