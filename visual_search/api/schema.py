"""OpenAPI descriptions through drf-spectacular; without it, the decorators change nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from visual_search import catalog, conf
from visual_search.api import serializers
from visual_search.asking import parameters
from visual_search.exceptions import ConfigurationError

try:
    from drf_spectacular import utils
except ImportError:
    utils = None  # type: ignore[assignment]

F = TypeVar("F", bound=Callable[..., Any])

TAG = "visual search"

_COMMON = {
    429: "`throttled`: too many requests; wait for Retry-After seconds.",
    503: "`database_unavailable`: try again after Retry-After seconds.",
}
_REFUSED = {
    413: "`image_too_large`: the photo's file; `request_too_large`: the rest of the request.",
    415: "`unsupported_media_type`: send multipart/form-data; `image_format`: send JPEG, PNG or WebP.",
    422: "The photo can't be used; `code` says why: `image_unreadable`, `image_empty`, `image_too_many_pixels`,"
    " `image_too_small`, `image_too_many_scans`, `image_blank`, `image_timeout`, `image_crashed`.",
}
_PHOTO = {"photo": {"type": "string", "format": "binary", "description": "JPEG, PNG or WebP."}}
_ASKED = (
    "`invalid_limit`, `invalid_share`, `invalid_filter`, `unknown_parameter`, `knob_unavailable`, `words_unsearchable`,"
    " `words_too_long` or `words_not_single`: says what is allowed."
)


_WORDS = {
    parameters.TEXT: 'Words to match: all of them, a "quoted phrase" as it stands, a word after - not. Where nothing'
    " else is asked with and no product has all of them, those that have some come.",
    parameters.WITHOUT: "Words that no result may match.",
}


def similar(view: F) -> F:
    """Describe the search for products like another product."""
    return _describe(
        view,
        operation_id="visual_search_similar",
        summary="Products that look like a product",
        parameters=_parameters("key"),
        responses={
            200: serializers.VisualSearchAnswer,
            400: _ASKED,
            404: "`product_not_found`: unknown, or not shown to you.",
            **_COMMON,
        },
    )


def words(view: F) -> F:
    """Describe the search by words."""
    return _describe(
        view,
        operation_id="visual_search_words",
        summary="Products that match words",
        parameters=_parameters("text"),
        responses={200: serializers.VisualSearchAnswer, 400: f"`words_missing`, or {_ASKED}", **_COMMON},
    )


def photo(view: F) -> F:
    """Describe the search by photo."""
    return _describe(
        view,
        operation_id="visual_search_photo",
        summary="Products that look like a photo",
        description="The photo is looked at in memory and never stored. Parameters may be form fields too."
        " With a `text` the photo may be left out.",
        parameters=_parameters("region"),
        request={"multipart/form-data": {"type": "object", "properties": _PHOTO}},
        responses={
            200: serializers.VisualSearchAnswer,
            400: f"`photo_missing`, `photo_not_single`, `invalid_region`, `parse_error`, or {_ASKED}",
            **_REFUSED,
            **_COMMON,
            503: "`encoder_unavailable` or `database_unavailable`: try again after Retry-After seconds.",
        },
    )


def regions(view: F) -> F:
    """Describe the proposal of regions."""
    return _describe(
        view,
        operation_id="visual_search_regions",
        summary="Parts of a photo that may be searched with",
        description="The photo is looked at in memory and never stored.",
        request={"multipart/form-data": {"type": "object", "properties": _PHOTO, "required": ["photo"]}},
        responses={
            200: serializers.VisualSearchRegions,
            400: "`photo_missing`, `photo_not_single`, `unknown_parameter` or `parse_error`.",
            **_REFUSED,
            **_COMMON,
            503: "`encoder_unavailable` or `database_unavailable`: try again after Retry-After seconds.",
        },
    )


def explain(view: F) -> F:
    """Describe the explanation of a result."""
    return _describe(
        view,
        operation_id="visual_search_explain",
        summary="Why a product is like another",
        description="For accounts with the permission `visual_search.view_analytics`.",
        parameters=_keys("key", "result"),
        responses={
            200: serializers.VisualSearchExplanation,
            400: "`unknown_parameter`.",
            401: "`not_authenticated`, where the project's authentication has a challenge for it.",
            403: "`not_authenticated` or `permission_denied`.",
            404: "`product_not_found`: unknown, hidden, or no result of that search.",
            422: "A picture can't be used any more; `code` says why.",
            **_COMMON,
            503: "`encoder_unavailable` or `database_unavailable`: try again after Retry-After seconds.",
        },
    )


def click(view: F) -> F:
    """Describe the report of a click."""
    return _describe(
        view,
        operation_id="visual_search_click",
        summary="Report that a result was opened",
        description="May be repeated: only the first report counts. Nothing is recorded for a browser that sends "
        "`Sec-GPC: 1` or `DNT: 1`.",
        request=serializers.VisualSearchClick,
        responses={
            204: None,
            400: "`parse_error`: no JSON object.",
            404: "`event_unknown`: no such search, or it did not show the product.",
            413: "`request_too_large`.",
            415: "`unsupported_media_type`: send application/json.",
            **_COMMON,
        },
    )


def _describe(view: F, *, responses: Mapping[int, Any], **described: Any) -> F:
    if utils is None:
        return view
    described["responses"] = {
        status: utils.OpenApiResponse(serializers.VisualSearchError, description=each)
        if isinstance(each, str)
        else each
        for status, each in responses.items()
    }
    return utils.extend_schema(tags=[TAG], **described)(view)


def _parameters(own: str) -> list[Any]:
    """Return what all searches take, and `own`: what only one of them does, or has to have."""
    if utils is None:
        return []
    shares = {
        "colour": "Share of colour in what counts as near, 0 to 1, where the index has a colour part.",
        "diversity": "0 to 1: trades nearness for difference among the results.",
    }
    try:
        filters = catalog.current().filters
    except ConfigurationError:
        filters = {}  # the checks say so
    described = [utils.OpenApiParameter("limit", int, description=f"1 to {conf.settings.MAX_LIMIT}.", default=12)]
    described += [utils.OpenApiParameter(n, float, description=d) for n, d in shares.items() if n not in filters]
    described += [
        utils.OpenApiParameter(n, str, description=d, many=n == parameters.WITHOUT, required=n == own)
        for n, d in _WORDS.items()
        if n not in filters
    ]
    described += [utils.OpenApiParameter(name, str, description="Narrows the results.") for name in filters]
    if own == "key":
        described += _keys(own)
    elif own == parameters.REGION and own not in filters:
        meaning = "left,top,right,bottom of a part of the photo that counts, 0 to 1; up to four of them."
        described.append(utils.OpenApiParameter(own, str, description=meaning, many=True))
    return described


def _keys(*names: str) -> list[Any]:
    if utils is None:
        return []
    return [
        utils.OpenApiParameter(name, str, utils.OpenApiParameter.PATH, description="A product's key.") for name in names
    ]
