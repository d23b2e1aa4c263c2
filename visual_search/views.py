"""The pages for customers: search by photo, and products like a product. They work without JavaScript."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_safe

from visual_search import conf, uploads
from visual_search.api import errors, parameters, throttles
from visual_search.exceptions import InvalidQuery
from visual_search.insight import events
from visual_search.retrieval import answers
from visual_search.retrieval.query import Query

RESULTS = 24


@require_safe
@cache_control(private=True, no_cache=True)
def similar(request: HttpRequest, pk: str) -> HttpResponse:
    """Show what looks like the product with the key `pk`."""
    try:
        product = parameters.product(request, pk)
    except InvalidQuery as error:
        raise Http404(str(error)) from error
    answer = answers.answer(Query(product=product.pk, request=request, limit=RESULTS))
    search = events.record(answer, product=product.pk, request=request)
    context = {"product": product, "products": answer.products, "state": answer.state, "search": search or ""}
    return render(request, "visual_search/similar.html", context)


# Checking the CSRF token reads the body, and the upload handler has to be there first: so it is checked further in.
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def photo(request: HttpRequest) -> HttpResponse:
    """Ask for a photo; show what looks like the one that was sent, or what is wrong with it."""
    if request.method != "POST":
        return _show_photo(request)
    uploads.install(request)
    throttle = throttles.UploadThrottle()
    if not throttle.allow_request(request, None):
        wait = max(1, round(throttle.wait() or 1))
        problem = errors.Problem(status=429, code="throttled", detail="", retry_after=wait)
        return _show_photo(request, problem=problem)
    try:
        return _search(request)
    except Exception as error:
        found = errors.of(error)
        if found is None:
            raise
        return _show_photo(request, problem=found)


@csrf_protect
def _search(request: HttpRequest) -> HttpResponse:
    answer = answers.answer(Query(photo=uploads.photo(request.FILES), request=request, limit=RESULTS))
    search = events.record(answer, request=request)
    return _show_photo(request, products=answer.products, state=answer.state, search=search or "")


def _show_photo(request: HttpRequest, *, problem: errors.Problem | None = None, **context: Any) -> HttpResponse:
    context["max_bytes"] = conf.settings.UPLOAD_MAX_BYTES
    context["message"] = _message(problem) if problem else ""
    response = render(request, "visual_search/photo.html", context, status=problem.status if problem else 200)
    if problem and problem.retry_after is not None:
        response["Retry-After"] = str(problem.retry_after)
    if request.method == "POST":
        response["Cache-Control"] = "private, no-store"
    return response


def _message(problem: errors.Problem) -> str:
    """Return what a customer is told: what is wrong with the photo, and what to do."""
    megabytes = conf.settings.UPLOAD_MAX_BYTES // 2**20
    megapixels = conf.settings.UPLOAD_MAX_PIXELS // 10**6
    known = {
        "photo_missing": _("Please choose a photo first."),
        "photo_not_single": _("Please choose one photo at a time."),
        "image_too_large": _("This photo is larger than %(megabytes)d MB. Please choose a smaller one.")
        % {"megabytes": megabytes},
        "image_too_many_pixels": _("This photo has more than %(megapixels)d megapixels. Please choose a smaller one.")
        % {"megapixels": megapixels},
        "image_too_small": _("This picture is very small. Please choose one that shows a little more."),
        "image_blank": _("There is nothing to see on this picture. Please choose another one."),
        "image_format": _("We can read JPEG, PNG and WebP pictures. Please save yours as one of these."),
        "throttled": _("That was a lot of photos in a short time. Please wait a minute, then try again."),
        "encoder_unavailable": _("Search by photo is having a rest. Please try again in a minute."),
        "database_unavailable": _("We can't look into our shelves right now. Please try again in a minute."),
    }
    return known.get(problem.code) or _("We can't read this picture. Please save it again, or choose another one.")
