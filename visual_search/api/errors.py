"""Every error of the API as `{"code", "detail"}`, with a status that fits; only for our own views."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

from django.core import exceptions as django_exceptions
from django.db import InterfaceError, OperationalError
from django.http import Http404, UnreadablePostError
from rest_framework import exceptions as rest_exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from visual_search import uploads
from visual_search.exceptions import BadImage, EncoderError, InvalidQuery

logger = logging.getLogger("visual_search.api")

DATABASE_SECONDS = 10
ENCODER_SECONDS = 60
"""What Retry-After says: a database is back sooner than a model that has to be put right."""

_NOT_FOUND = {"product_not_found", "event_unknown"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What the client is told: an HTTP status, a code that never changes, and what is wrong and what to do."""

    status: int
    code: str
    detail: str
    retry_after: int | None = None


def response(error: Exception) -> Response | None:
    """Return the answer to `error`, or None where it is a fault of ours that has to be seen."""
    problem = of(error)
    if problem is None:
        return None
    set_rollback()
    headers = {"Cache-Control": "no-store"}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    return Response({"code": problem.code, "detail": problem.detail}, status=problem.status, headers=headers)


def of(error: Exception) -> Problem | None:
    """Return what to say about `error`, or None where nobody but the shop's developers should hear of it."""
    match error:
        case InvalidQuery():
            status = 404 if error.code in _NOT_FOUND else 400
            return Problem(status=status, code=error.code, detail=str(error))
        case BadImage():
            return Problem(status=uploads.status(error), code=error.code, detail=str(error))
        case EncoderError():
            # Its message speaks of weights and devices: that is for the log.
            logger.error("Search by photo is not available: %s", error, exc_info=error)
            return Problem(
                status=503,
                code="encoder_unavailable",
                detail="Search by photo is not available right now. Try again in a minute.",
                retry_after=ENCODER_SECONDS,
            )
        case OperationalError() | InterfaceError():
            logger.error("The database did not answer: %s", error, exc_info=error)
            return Problem(
                status=503,
                code="database_unavailable",
                detail="The shop's database does not answer right now. Try again in some seconds.",
                retry_after=DATABASE_SECONDS,
            )
        case rest_exceptions.APIException():
            return _of_rest_framework(error)
        case Http404():
            return Problem(status=404, code="not_found", detail="There is nothing at this address.")
        case django_exceptions.PermissionDenied():
            return Problem(status=403, code="permission_denied", detail="This is not allowed.")
        case django_exceptions.RequestDataTooBig():
            return Problem(
                status=413, code="request_too_large", detail="The request is too large. Send the photo and little else."
            )
        case django_exceptions.SuspiciousOperation() | django_exceptions.BadRequest() | UnreadablePostError():
            return Problem(
                status=400,
                code="parse_error",
                detail="The request can't be read. Send it again, well-formed and whole.",
            )
    return None


def _of_rest_framework(error: rest_exceptions.APIException) -> Problem:
    codes: Any = error.get_codes()
    code = codes if isinstance(codes, str) else "invalid"
    detail = str(error.detail) if isinstance(codes, str) else "; ".join(_lines(error.detail))
    if isinstance(error, rest_exceptions.Throttled):
        wait = max(1, math.ceil(getattr(error, "wait", None) or 1))
        detail = f"Too many requests. Try again in {wait} s."
        return Problem(status=429, code="throttled", detail=detail, retry_after=wait)
    if isinstance(error, rest_exceptions.MethodNotAllowed):
        code = "method_not_allowed"
    return Problem(status=error.status_code, code=code, detail=detail)


def _lines(detail: Any) -> list[str]:
    if isinstance(detail, dict):
        return [f"{name}: {line}" for name, each in detail.items() for line in _lines(each)]
    return [str(each) for each in detail]
