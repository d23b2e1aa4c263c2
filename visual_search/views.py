"""The pages for customers: search by words and by photo, and products like a product. They work without JavaScript."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

from django.db import DatabaseError, connections, transaction
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.cache import cache_control
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_safe

from visual_search import catalog, conf
from visual_search.asking import parameters, problems, throttles, uploads
from visual_search.exceptions import InvalidQuery, VisualSearchError
from visual_search.insight import events
from visual_search.models import SearchIndex
from visual_search.retrieval import answers, regions, targets
from visual_search.retrieval.query import Query, Term

logger = logging.getLogger("visual_search.pages")

RESULTS = 24


@require_safe
@cache_control(private=True, no_cache=True)
def similar(request: HttpRequest, pk: str) -> HttpResponse:
    """Show what looks like the product with the key `pk`."""
    if (wait := throttles.SearchThrottle().seconds_to_wait(request)) is not None:
        return _render(request, "visual_search/problem.html", {}, problem=problems.throttled(wait))
    try:
        with _apart():
            product = parameters.product(request, pk)
            colour, share = _colour(request.GET)
            answer = answers.answer(Query(product=product.pk, request=request, limit=RESULTS, colour=colour))
    except Exception as error:
        found = problems.of(error)
        if found is None or found.status not in (404, 503):
            raise
        if found.status == 404:
            raise Http404(found.detail) from error
        return _render(request, "visual_search/problem.html", {}, problem=found)
    search = events.record(answer, product=product.pk, request=request)
    context = {
        "product": product,
        "products": answer.products,
        "state": answer.state,
        "nothing_good": answer.nothing_good,
        "search": search or "",
        "colour": share,
    }
    return _render(request, "visual_search/similar.html", context)


@require_safe
@cache_control(private=True, no_cache=True)
def search(request: HttpRequest) -> HttpResponse:
    """Ask for words; show what is called so, or what is wrong with them."""
    template, context = "visual_search/search.html", {"words": request.GET.get(parameters.TEXT, "").strip()}
    if not context["words"]:
        return _render(request, template, context)
    if (wait := throttles.SearchThrottle().seconds_to_wait(request)) is not None:
        return _render(request, template, context, problem=problems.throttled(wait))
    try:
        with _apart():
            answer = answers.answer(Query(words=context["words"], request=request, limit=RESULTS))
    except Exception as error:
        found = problems.of(error)
        if found is None or found.status in (403, 404):
            raise
        return _render(request, template, context, problem=found)
    recorded = events.record(answer, request=request)
    shown = {
        "products": answer.products,
        "state": answer.state,
        "some_words": answer.some_words,
        "search": recorded or "",
    }
    return _render(request, template, {**context, **shown})


# Checking the CSRF token reads the body, and the upload handler has to be there first: so it is checked further in.
@csrf_exempt
@require_http_methods(["GET", "HEAD", "POST"])
def photo(request: HttpRequest) -> HttpResponse:
    """Ask for a photo; show what looks like the one that was sent, or what is wrong with it."""
    if request.method != "POST":
        return _show_photo(request, {"colour": _colour(request.GET)[1]})
    uploads.install(request)
    if (wait := throttles.UploadThrottle().seconds_to_wait(request)) is not None:
        # What was typed stays unread with the photo.
        return _show_photo(request, {"colour": _colour(request.GET)[1]}, problem=problems.throttled(wait))
    try:
        with _apart():
            return _search(request)
    except Exception as error:
        found = problems.of(error)
        if found is None or found.status in (403, 404):
            raise
        asked = {"said": _said(request), "colour": _colour(request.POST)[1]}
        return _show_photo(request, asked, problem=found)


@csrf_protect
def _search(request: HttpRequest) -> HttpResponse:
    photo = uploads.photo(request.FILES)
    chosen = parameters.regions({parameters.REGION: [each for each in request.POST.getlist("region") if each]})
    terms = [Term(photo=photo, region=region) for region in chosen] or [Term(photo=photo)]
    if said := _said(request):
        terms.append(Term(words=said))
    colour, share = _colour(request.POST)
    answer = answers.answer(Query(terms=tuple(terms), request=request, limit=RESULTS, colour=colour))
    context = {
        "products": answer.products,
        "state": answer.state,
        "nothing_good": answer.nothing_good,
        "search": events.record(answer, request=request) or "",
        "said": said,
        "colour": share,
        # The page that sends a region has all of them already.
        "regions": [] if chosen else _proposed(photo),
    }
    return _show_photo(request, context)


def _said(request: HttpRequest) -> str:
    return request.POST.get(parameters.TEXT, "").strip()


def _proposed(photo: Any) -> list[str]:
    """Return the parts of `photo` that the page offers, as the parameter `region` has them."""
    if not conf.settings.PROPOSE_REGIONS:
        return []
    try:
        found = regions.propose(photo)
    except VisualSearchError:
        # The search has answered: its results are not withheld for an extra.
        logger.exception("No parts of a photo could be proposed.")
        return []
    return [",".join(f"{share:.4f}" for share in region.box) for region in found]


def _show_photo(
    request: HttpRequest, context: dict[str, Any], *, problem: problems.Problem | None = None
) -> HttpResponse:
    response = _render(request, "visual_search/photo.html", context, problem=problem)
    if request.method == "POST":
        response["Cache-Control"] = "private, no-store"
    return response


def _colour(sent: QueryDict) -> tuple[float | None, float | None]:
    """Return the share of colour to ask with, and the one to show, None where the live index has none to choose.

    What is no share is left out: somebody played with the address.
    """
    try:
        with _apart():
            index = SearchIndex.objects.using(conf.settings.DATABASE).live()
        asked = parameters.share(dict(sent.lists()), "colour")
    except DatabaseError:
        return None, None  # the search says so, and the form needs no database
    except InvalidQuery:
        asked = None
    usual = None if index is None or "colour" in catalog.current().filters else targets.share_of_colours(index)
    if usual is None:
        return None, None
    return asked, usual if asked is None else asked


def _apart() -> contextlib.AbstractContextManager[Any]:
    """Return what undoes a search that failed in the request's transaction: the page that says so may have to query."""
    database = conf.settings.DATABASE
    return transaction.atomic(database) if connections[database].in_atomic_block else contextlib.nullcontext()


def _render(
    request: HttpRequest, template: str, context: dict[str, Any], *, problem: problems.Problem | None = None
) -> HttpResponse:
    context["message"] = _message(problem) if problem else ""
    # How many more there are is not counted.
    context["full"] = len(context.get("products", ())) == RESULTS
    response = render(request, template, context, status=problem.status if problem else 200)
    if problem and problem.retry_after is not None:
        response["Retry-After"] = str(problem.retry_after)
    return response


def _message(problem: problems.Problem) -> str:
    """Return what a customer is told: what is wrong, and what to do."""
    megabytes = conf.settings.UPLOAD_MAX_BYTES // 2**20
    megapixels = conf.settings.UPLOAD_MAX_PIXELS // 10**6
    known = {
        "photo_missing": _("Please choose a photo first."),
        "words_unsearchable": _("There is nothing in these words to look for. Please name a thing, or how it is."),
        "words_too_long": _("That was a lot of words. Please take the most important ones."),
        "photo_not_single": _("Please choose one photo at a time."),
        "image_too_large": _("This photo is larger than %(megabytes)d MB. Please choose a smaller one.")
        % {"megabytes": megabytes},
        "image_too_many_pixels": _("This photo has more than %(megapixels)d megapixels. Please choose a smaller one.")
        % {"megapixels": megapixels},
        "image_too_small": _("This picture is very small. Please choose one that shows a little more."),
        "image_blank": _("There is nothing to see on this picture. Please choose another one."),
        "image_format": _("We can read JPEG, PNG and WebP pictures. Please save yours as one of these."),
        "throttled": _("That was a lot in a short time. Please wait a minute, then try again."),
        "encoder_unavailable": _("Search by photo is having a rest. Please try again in a minute."),
        "database_unavailable": _("We can't look into our shelves right now. Please try again in a minute."),
    }
    return known.get(problem.code) or _("We can't read this picture. Please save it again, or choose another one.")
