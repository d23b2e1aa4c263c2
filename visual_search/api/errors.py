"""Every error of the API as `{"code", "detail"}`, with a status that fits; only for our own views."""

from __future__ import annotations

import math
from typing import Any

from rest_framework import exceptions as rest_exceptions
from rest_framework.response import Response
from rest_framework.views import set_rollback

from visual_search.asking import problems


def response(error: Exception) -> Response | None:
    """Return the answer to `error`, or None where it is a fault of ours that has to be seen."""
    problem = _of_rest_framework(error) if isinstance(error, rest_exceptions.APIException) else problems.of(error)
    if problem is None:
        return None
    set_rollback()
    headers = {"Cache-Control": "no-store"}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    return Response({"code": problem.code, "detail": problem.detail}, status=problem.status, headers=headers)


def _of_rest_framework(error: rest_exceptions.APIException) -> problems.Problem:
    codes: Any = error.get_codes()
    code = codes if isinstance(codes, str) else "invalid"
    detail = str(error.detail) if isinstance(codes, str) else "; ".join(_lines(error.detail))
    if isinstance(error, rest_exceptions.Throttled):
        return problems.throttled(max(1, math.ceil(getattr(error, "wait", None) or 1)))
    if isinstance(error, rest_exceptions.MethodNotAllowed):
        code = "method_not_allowed"
    return problems.Problem(status=error.status_code, code=code, detail=detail)


def _lines(detail: Any) -> list[str]:
    if isinstance(detail, dict):
        return [f"{name}: {line}" for name, each in detail.items() for line in _lines(each)]
    return [str(each) for each in detail]
