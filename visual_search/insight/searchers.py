"""Who answers the questions of an evaluation: an index as customers meet it, or a recipe in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from visual_search import conf
from visual_search.encoders import joined, parts
from visual_search.exceptions import BadImage
from visual_search.indexing.sources import pictures
from visual_search.indexing.vectors import encoding, measures
from visual_search.insight import tasks
from visual_search.models import SearchIndex
from visual_search.retrieval import gate as gates
from visual_search.retrieval import nearest, statement, targets
from visual_search.retrieval.query import Query


class Searcher(Protocol):
    """Answer a question with up to 10 products, the nearest first."""

    @property
    def name(self) -> str:
        """Return how the report calls it."""
        ...

    @property
    def index(self) -> SearchIndex | None:
        """Return the index, where it is one."""
        ...

    @property
    def products(self) -> int:
        """Return among how many products it searches."""
        ...

    def answer(self, question: tasks.Question) -> list[nearest.Match]:
        """Return what comes for `question`; nothing where its picture can't be looked at."""
        ...


class Index:
    """An index in Postgres, live or not, asked in the way that customers ask, but for re-ranking."""

    def __init__(self, index: SearchIndex) -> None:
        self.name, self.index = str(index), index
        self.products = index.embeddings.filter(state="ready").values("product_id").distinct().count()

    def answer(self, question: tasks.Question) -> list[nearest.Match]:
        """Return the nearest products: what the catalog hides is none."""
        index = self.index
        try:
            if question.task == tasks.OTHER_PICTURE:
                gate = gates.of(Query(product=question.product))
                own = statement.literal(
                    "NOT (embedding.product_id = %s AND embedding.image_key = %s)",
                    [question.product, question.image_key],
                )
                gate = dataclasses.replace(gate, sql=f"{gate.sql} AND {own}")
                target = targets.of_picture(index, question.product, question.image_key)
            else:
                asked = {"product": question.product} if question.data is None else {"photo": question.data}
                query = Query(**asked)
                gate, target = gates.of(query), targets.of(index, query)
        except BadImage:
            return []
        return nearest.products(index, target, gate=gate, limit=measures.DEPTH, live_only=False)[0]


class Recipe:
    """Encoders on the pictures of the sampled products, in memory: the same vectors as an index, sorted exactly."""

    index = None

    def __init__(
        self,
        name: str,
        encoders: Sequence[str | Mapping[str, Any]],
        shop: tasks.Shop,
        *,
        colour: float | None = None,
        report: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self.name = name
        self._encoder = joined.load(encoders, **conf.machine())
        listed = [picture for picture in shop.pictures() if picture.error is None]
        taken: list[pictures.Picture] = []
        kept, features = [], []
        for number, outcome in enumerate(encoding.encode(self._encoder, _data(listed, taken)), start=1):
            report(number, len(listed))
            if isinstance(outcome, np.ndarray):
                kept.append(taken[number - 1])
                features.append(outcome)
        every = np.array(features, np.float32).reshape(len(kept), self._encoder.dimensions)
        names = [each.name for each in self._encoder.encoders]
        share = conf.settings.COLOUR_SHARE if colour is None else colour
        self._shares = parts.shares(names, colour=share)
        self._transforms = [parts.fit(piece) for piece in parts.split(every, self._encoder.parts)]
        self._stored = parts.stored(every, self._transforms)[0]
        self._pictures = kept
        self._rows: dict[Any, list[int]] = {}
        for row, picture in enumerate(kept):
            self._rows.setdefault(picture.product, []).append(row)
        self._raw = self._uncentred(every)
        self.products = len(self._rows)

    def answer(self, question: tasks.Question) -> list[nearest.Match]:
        """Return the nearest products of the sample, a photo in the uncentred order, as an index that is new does."""
        if question.data is not None:
            try:
                photo = encoding.decoder().decode(question.data, min_size=self._encoder.input_size)
            except BadImage:
                return []
            return self._nearest(self._raw @ self._uncentred(self._encoder.encode([photo]))[0], without=())
        own = self._rows.get(question.product, [])
        if question.task == tasks.OTHER_PICTURE:
            own = [row for row in own if self._pictures[row].key == question.image_key]
        if not own:
            return []
        return self._nearest(self._stored @ (self._stored[own[0]] * self._weights()), without=own)

    def _nearest(self, scores: Any, *, without: Sequence[int]) -> list[nearest.Match]:
        scores[list(without)] = -np.inf
        best: dict[Any, nearest.Match] = {}
        for row in np.argsort(-scores, kind="stable"):
            if len(best) == measures.DEPTH or scores[row] == -np.inf:
                break
            picture = self._pictures[row]
            match = nearest.Match(product=picture.product, image_key=picture.key, similarity=float(scores[row]))
            best.setdefault(picture.product, match)
        return list(best.values())

    def _weights(self) -> Any:
        return np.repeat(np.asarray(self._shares, np.float32), [each.dimensions for each in self._transforms])

    def _uncentred(self, features: Any) -> Any:
        """Return unit features, each part scaled by the root of its share, so that a product adds the parts up."""
        pieces = parts.split(features, self._encoder.parts)
        found = [t.uncentred(piece) for t, piece in zip(self._transforms, pieces, strict=True)]
        return np.hstack(found) * np.sqrt(self._weights())


def _data(listed: Sequence[pictures.Picture], taken: list[pictures.Picture]) -> Generator[bytes]:
    for picture in pictures.read(listed):
        if picture.error is None:
            taken.append(picture)
            data, picture.data = picture.data, b""
            yield data
