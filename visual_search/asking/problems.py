"""What is wrong with a request, for the API and the pages alike: a status, a code, and what to do."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from django.core import exceptions as django_exceptions
from django.db import InterfaceError, OperationalError
from django.http import Http404, UnreadablePostError

from visual_search.exceptions import BadImage, EncoderError, InvalidQuery

logger = logging.getLogger("visual_search.api")

DATABASE_SECONDS = 10
ENCODER_SECONDS = 60
"""What Retry-After says: a database is back sooner than a model that has to be put right."""

_QUERY_STATUS = {"product_not_found": 404, "event_unknown": 404}
_IMAGE_STATUS = {"image_too_large": 413, "image_format": 415}


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What the client is told: an HTTP status, a code that never changes, and what is wrong and what to do."""

    status: int
    code: str
    detail: str
    retry_after: int | None = None


def of(error: Exception) -> Problem | None:
    """Return what to say about `error`, or None where nobody but the shop's developers should hear of it."""
    match error:
        case InvalidQuery():
            return Problem(status=_QUERY_STATUS.get(error.code, 400), code=error.code, detail=str(error))
        case BadImage():
            return Problem(status=_IMAGE_STATUS.get(error.code, 422), code=error.code, detail=str(error))
        case EncoderError(code="feature_map_unavailable"):
            # A model that can't be explained never will be: trying again is no use.
            return Problem(status=422, code=error.code, detail=str(error))
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


def throttled(seconds: int) -> Problem:
    """Return what to say to whoever asked too often and may ask again in `seconds`."""
    detail = f"Too many requests. Try again in {seconds} s."
    return Problem(status=429, code="throttled", detail=detail, retry_after=seconds)
