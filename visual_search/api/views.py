"""The JSON API."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from django.db import DataError, transaction
from django.http import HttpRequest
from rest_framework import exceptions as rest_exceptions
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from visual_search import catalog, conf
from visual_search.api import errors, schema, serializers
from visual_search.asking import parameters, throttles, uploads
from visual_search.exceptions import InvalidQuery
from visual_search.insight import events
from visual_search.retrieval import answers, explanation, regions
from visual_search.retrieval.query import Query, Term


class AlwaysJSON(BaseContentNegotiation):
    """Answer in JSON whatever the client says it accepts."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """Return the parser for the request's content type, or None."""
        media_type = request.content_type.split(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == media_type), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        """Return the first renderer and its media type."""
        return renderers[0], renderers[0].media_type


class ShallowJSONParser(JSONParser):
    """JSON that is nested a little; Python's own parser gives up on the rest with an error that nobody expects."""

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        """Return the value in `stream`; raise ParseError."""
        try:
            return super().parse(stream, media_type, parser_context)
        except RecursionError as error:
            raise rest_exceptions.ParseError("The JSON is nested too deeply.") from error


class SearchView(APIView):
    """What the views share: public, JSON only, errors in one shape, whatever the project's own defaults are."""

    permission_classes: tuple[type[BasePermission], ...] = (AllowAny,)
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = AlwaysJSON
    throttle_classes = (throttles.SearchThrottle,)
    versioning_class = None

    def perform_authentication(self, request: Request) -> None:
        """Authenticate as the project does, for the catalog's sake; whoever fails is a stranger, and not turned away.

        A search is public: an expired token or a missing CSRF token costs the caller what only accounts may see.
        """
        with contextlib.suppress(rest_exceptions.AuthenticationFailed, rest_exceptions.PermissionDenied):
            super().perform_authentication(request)

    def handle_exception(self, exc: Exception) -> Response:
        """Answer `exc` in the one shape; raise it where it is a fault of ours."""
        answer = errors.response(exc)
        if answer is None:
            raise exc
        answer.exception = True
        return answer

    def find(self, request: Request, asked: dict[str, list[str]], terms: Sequence[Term]) -> answers.Answer:
        """Answer for `terms`, among what the parameters `asked` leave."""
        filters = parameters.filters(request, asked)
        query = Query(
            filters=filters,
            request=request,
            limit=parameters.limit(asked),
            colour=parameters.share(asked, "colour"),
            diversity=parameters.share(asked, "diversity") or 0.0,
            terms=tuple(terms),
        )
        if not filters:
            return answers.answer(query)
        try:
            # A value may be refused by Postgres alone: the savepoint keeps that from the rest of the request.
            with transaction.atomic(conf.settings.DATABASE):
                return answers.answer(query)
        except DataError as error:
            names = ", ".join(name for name in asked if name in catalog.current().filters)
            raise InvalidQuery(f"A value of {names} is out of range.", code="invalid_filter") from error


class Similar(SearchView):
    """Products that look like a product."""

    @schema.similar
    def get(self, request: Request, key: str) -> Response:
        """Answer with products like the one with the primary key `key`."""
        asked = parameters.only_known(request.query_params)
        parameters.limit(asked)
        product = parameters.product_key(request, key)
        answer = self.find(request, asked, [Term(product=product), *parameters.words(asked)])
        search = events.record(answer, product=product, request=request)
        # Price and stock are today's, and each answer is a search of its own: a copy may be kept, not used unasked.
        return Response(serializers.answer(answer, search), headers={"Cache-Control": "private, no-cache"})


class PhotoView(SearchView):
    """What takes a photo, and keeps it in memory."""

    parser_classes = (MultiPartParser,)

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        """Install the handler that keeps the photo in memory, before anything reads the body."""
        if request.method == "POST":
            uploads.install(request)
        return super().initialize_request(request, *args, **kwargs)


class Search(PhotoView):
    """Products that look like a photo, are called as words say, or both."""

    def get_throttles(self) -> list[Any]:
        """Return the throttle of photos for what may carry one."""
        return [throttles.UploadThrottle() if self.request.method == "POST" else throttles.SearchThrottle()]

    @schema.words
    def get(self, request: Request) -> Response:
        """Answer with products that match the words."""
        asked = parameters.only_known(request.query_params)
        words = parameters.words(asked)
        if not any(term.weight > 0 for term in words):
            raise InvalidQuery("There is no text: say what to look for, as ?text=red+dress.", code="words_missing")
        return self._answer(request, self.find(request, asked, words), caching="no-cache")

    @schema.photo
    def post(self, request: Request) -> Response:
        """Answer with products like the photo that is sent, or that match the words, or both."""
        asked = parameters.only_known(request.query_params, request.POST, of_photo=True, also=("csrfmiddlewaretoken",))
        words, regions = parameters.words(asked), parameters.regions(asked)
        seen = []
        if request.FILES or regions or not any(term.weight > 0 for term in words):
            photo = uploads.photo(request.FILES)
            seen = [Term(photo=photo, region=region) for region in regions] or [Term(photo=photo)]
        return self._answer(request, self.find(request, asked, [*seen, *words]), caching="no-store")

    def _answer(self, request: Request, answer: answers.Answer, *, caching: str) -> Response:
        search = events.record(answer, request=request)
        return Response(serializers.answer(answer, search), headers={"Cache-Control": f"private, {caching}"})


class Regions(PhotoView):
    """Parts of a photo that may be searched with."""

    throttle_classes = (throttles.UploadThrottle,)

    @schema.regions
    def post(self, request: Request) -> Response:
        """Answer with what stands out on the photo that is sent."""
        photo = uploads.photo(request.FILES)
        parameters.nothing(request.query_params, request.POST, but=("csrfmiddlewaretoken",))
        headers = {"Cache-Control": "private, no-store"}
        return Response(serializers.regions(regions.propose(photo)), headers=headers)


class MayExplain(BasePermission):
    """Explanations are for those who may see the analytics: each costs the encoder two pictures."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether the account has `visual_search.view_analytics`."""
        return bool(request.user and request.user.has_perm("visual_search.view_analytics"))


class Explain(SearchView):
    """Why a product is like another."""

    permission_classes = (MayExplain,)

    @schema.explain
    def get(self, request: Request, key: str, result: str) -> Response:
        """Answer with what each position of the two pictures contributes to their similarity."""
        parameters.nothing(request.query_params)
        query, answer = (parameters.product_key(request, each) for each in (key, result))
        found = explanation.explain(Query(product=query, request=request), answer)
        return Response(serializers.explanation(found), headers={"Cache-Control": "private, no-store"})


class Clicks(SearchView):
    """Reports of results that were opened."""

    # A report names a search, not a person.
    authentication_classes = ()
    parser_classes = (ShallowJSONParser,)

    @schema.click
    def post(self, request: Request) -> Response:
        """Record that a product was opened from the results of a search."""
        if not isinstance(request.data, dict):
            raise rest_exceptions.ParseError('Send a JSON object: {"search": ..., "product": ...}.')
        if events.wanted(request) and not events.click(request.data.get("search"), request.data.get("product")):
            raise InvalidQuery("No such search showed this product.", code="event_unknown")
        return Response(status=204)
