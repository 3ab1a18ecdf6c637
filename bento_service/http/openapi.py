"""OpenAPI document: BentoML's, corrected where the middleware responds in BentoML's place."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from bento_service.http.api_key_check import ApiKeyCheck
from bento_service.http.bodies import BODIES
from bento_service.http.errors import ErrorBody

ERROR_STATUSES = (400, 401, 408, 413, 415, 422, 429, 503, 504)
"""Possible errors of a route with a body; 401 where a key is required."""
_BENTOML_ROUTES = ("/classify", "/explain")
_FILE = {"type": "string", "format": "binary"}
_SCHEMES = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
Document = dict[str, Any]


def error_responses(*statuses: int) -> dict[int | str, Document]:
    """FastAPI's `responses` for these statuses; by default those of a route with a body."""
    return {status: {"model": ErrorBody} for status in statuses or ERROR_STATUSES}


def upload_body(path: str) -> Document:
    """The `requestBody` of a route that takes files."""
    spec = BODIES[path]
    many = {"type": "array", "items": _FILE, "minItems": 1, "maxItems": spec.max_files}
    schema = {
        "type": "object",
        "required": [spec.field],
        "properties": {spec.field: many if spec.max_files > 1 else _FILE},
        "additionalProperties": False,
    }
    return {"required": True, "content": {spec.media_type: {"schema": schema}}}


def complete_openapi(document: Document, labels: Sequence[str], keys: ApiKeyCheck) -> Document:
    """Correct BentoML's document in place and return it: bodies, errors, security, version.

    Args:
        document: from BentoML, which includes FastAPI's routes.
        labels: accepted by `/feedback`; empty while no model is served.
        keys: decides which routes require a key.
    """
    document["openapi"] = "3.1.0"  # FastAPI and pydantic write schemas of 3.1
    if labels:
        feedback = document["components"]["schemas"]["FeedbackRequest"]["properties"]
        feedback["label"]["enum"] = list(labels)
    for path in _BENTOML_ROUTES:
        operation = document["paths"][path]["post"]
        operation["requestBody"] = upload_body(path)
        operation["responses"] = {
            "200": operation["responses"][HTTPStatus.OK],
            **_references(*ERROR_STATUSES),
        }
    document["paths"]["/readyz"]["get"]["responses"].update(_references(503))
    if keys.required:
        _add_security(document, keys)
    return document


def _references(*statuses: int) -> Document:
    """OpenAPI responses by status, which refer to the schema of `ErrorBody`."""
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}}
    return {
        str(status): {"description": HTTPStatus(status).phrase, "content": content}
        for status in statuses
    }


def _add_security(document: Document, keys: ApiKeyCheck) -> None:
    """Add the key schemes to the document and to every route that is not public, in place."""
    document["components"]["securitySchemes"] = _SCHEMES
    for path, operations in document["paths"].items():
        if not keys.is_public(path):
            for operation in operations.values():
                operation["security"] = [{name: []} for name in _SCHEMES]
