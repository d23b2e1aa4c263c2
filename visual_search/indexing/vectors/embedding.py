"""From claimed products to the rows that say what became of their pictures."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from visual_search import conf
from visual_search.encoders import base, joined, parts
from visual_search.exceptions import BadImage, EncoderError, VisualSearchError
from visual_search.indexing.sources import pictures, texts
from visual_search.indexing.vectors import arrays, encoding, fit, meanings, rows, scenes
from visual_search.models import ProductEmbedding, SearchIndex

MANY_MISSING = 8
"""Pictures of a batch that had vectors and are missing, from which it is the storage that is away: no mount, say."""


class WorkerDied(VisualSearchError):
    """Each attempt to embed the product ended its worker process."""

    code = "worker_died"


@dataclass(slots=True)
class Outcome:
    """The rows and texts of some products; those `unfinished` at the deadline, `put_off` by a storage that failed.

    Of `untouched` products the same rows are stored already, and no others. Those `spared` are put off as well, and
    have vectors that their rows here would end. `away` says that it is the storage which is, for all of them.
    """

    rows: list[rows.Row] = field(default_factory=list)
    untouched: set[Any] = field(default_factory=set)
    unfinished: set[Any] = field(default_factory=set)
    texts: dict[Any, texts.Text] = field(default_factory=dict)
    meanings: meanings.Meanings = field(default_factory=meanings.Meanings)
    put_off: set[Any] = field(default_factory=set)
    spared: set[Any] = field(default_factory=set)
    away: bool = False


def encoder_of(index: SearchIndex) -> joined.Joined:
    """Return the encoder of `index`; raise EncoderError (`encoder_changed`) where its weights are other ones now."""
    encoder = joined.load(index.encoders, **conf.machine())
    if encoder.fingerprint != index.fingerprint:
        raise EncoderError(
            f"The encoder {encoder.name} is not the one that index {index.pk} was built with: its weights or its "
            "preprocessing changed. Create a new index for it, or put the former version back.",
            code="encoder_changed",
        )
    return encoder


def run(
    index: SearchIndex,
    keys: Sequence[Any],
    *,
    forced: Collection[Any] = (),
    hopeless: Mapping[Any, VisualSearchError] | None = None,
    deadline: float = float("inf"),
) -> Outcome:
    """Embed the pictures of the products `keys` for `index`, one product at least and the others until `deadline`.

    A bad picture fails its own row. An unchanged one keeps its vector unless its product is `forced`. Pictures of
    `hopeless` products fail unread, with the error given there. Pictures stream through reading,
    decoding and encoding, so that memory doesn't depend on how many there are.
    """
    encoder = encoder_of(index)
    finder = scenes.Finder(index, encoder)
    stream = _Stream(index, keys, finder=finder, forced=forced, hopeless=hopeless or {}, deadline=deadline)
    for features in encoding.encode(encoder, stream.to_encode()):
        stream.encoded(features)
    outcome = stream.outcome
    outcome.untouched = stream.untouched()
    outcome.away = len(stream.missing) >= MANY_MISSING and len(stream.missing) > stream.read
    if outcome.away:
        outcome.spared |= stream.missing
    left = outcome.unfinished | outcome.put_off
    outcome.meanings = meanings.of({key: text for key, text in outcome.texts.items() if key not in left})
    return outcome


class _Stream:
    """The pictures of a batch on their way: most are settled as they are read, the others go through the encoder."""

    def __init__(
        self,
        index: SearchIndex,
        keys: Sequence[Any],
        *,
        finder: scenes.Finder,
        forced: Collection[Any],
        hopeless: Mapping[Any, VisualSearchError],
        deadline: float,
    ) -> None:
        self.outcome = Outcome()
        self._hopeless, self._deadline, self._finder = hopeless, deadline, finder
        self._products = list(pictures.load(keys).values())
        self.outcome.texts = texts.of(self._products)
        self.missing: set[Any] = set()
        self.read = 0
        self._stored, self._forced = _stored(index, keys), forced
        self._same: Counter[Any] = Counter()
        self._sampled = fit.sampled(index, keys)
        self._transforms = arrays.transforms(index.pk)
        self._waiting: deque[pictures.Picture] = deque()

    def to_encode(self) -> Generator[bytes]:
        """Yield the bytes of the pictures that need the encoder; settle the others."""
        for picture in pictures.read(self._listed()):
            self.read += picture.error is None
            stored = self._stored[picture.product].get(picture.key, {})
            if picture.error is not None:
                self._unread(picture, picture.error)
            elif picture.product not in self._forced and stored.get((), ("",))[0] == picture.sha256:
                for region, (_, *others) in stored.items():
                    self.outcome.rows.append(_row(picture, rows.UNCHANGED, region))
                    self._same[picture.product] += others == [picture.position, picture.name, picture.size]
            elif (features := self._sampled.get(picture.sha256)) is not None:
                self._ready(picture, features)
            else:
                self._waiting.append(picture)
                data = picture.data
                if not self._finder.looks:
                    picture.data = b""
                yield data

    def encoded(self, features: base.Features | BadImage) -> None:
        """Take what the encoder made of the next picture."""
        picture = self._waiting.popleft()
        if isinstance(features, BadImage):
            self._failed(picture, features)
        else:
            self._ready(picture, features)

    def untouched(self) -> set[Any]:
        """Return the products whose rows, once all are settled, are those that are stored."""
        settled = Counter(row.product for row in self.outcome.rows)
        return {
            key for key, same in self._same.items() if same == settled[key] == sum(map(len, self._stored[key].values()))
        }

    def _listed(self) -> Iterator[pictures.Picture]:
        for number, product in enumerate(self._products):
            for picture in pictures.of(product):
                if number and time.monotonic() >= self._deadline:
                    self.outcome.unfinished |= {product.pk for product in self._products[number:]}
                    return
                if picture.error is None:
                    picture.error = self._hopeless.get(product.pk)
                yield picture

    def _ready(self, picture: pictures.Picture, features: base.Features) -> None:
        if not self._kept(picture, features):
            message = "The picture shows nothing that the encoder can tell apart."
            self._failed(picture, BadImage(message, code="image_blank"))
            return
        for region, seen in self._finder.find(picture.data):
            self._kept(picture, seen, region)
        picture.data = b""

    def _kept(self, picture: pictures.Picture, features: base.Features, region: tuple[float, ...] = ()) -> bool:
        """Keep the vector of `region`; return whether there is anything in it to compare by."""
        vectors, lengths = parts.stored(features[None], self._transforms)
        if lengths.min() <= parts.DEGENERATE:
            return False
        row = _row(picture, ProductEmbedding.State.READY, region)
        row.embedding, row.part_lengths = vectors[0], lengths[0].tolist()
        self.outcome.rows.append(row)
        return True

    def _unread(self, picture: pictures.Picture, error: VisualSearchError) -> None:
        """Fail what couldn't be read; where that may be another's fault, put the product off and spare its vectors."""
        stored = self._stored[picture.product]
        if isinstance(error, pictures.CatalogFailed):
            had = any(ready for regions in stored.values() for ready, *_ in regions.values())
        else:
            had = any(ready and name == picture.name for ready, _, name, _ in stored.get(picture.key, {}).values())
        missing = error.code == "image_missing" and had
        if missing:
            self.missing.add(picture.product)
        elif had and isinstance(error, pictures.StorageFailed | pictures.CatalogFailed):
            self.outcome.spared.add(picture.product)
        if missing or isinstance(error, pictures.StorageFailed) or picture.product in self.outcome.spared:
            self.outcome.put_off.add(picture.product)
        self._failed(picture, error)

    def _failed(self, picture: pictures.Picture, error: VisualSearchError) -> None:
        row = _row(picture, ProductEmbedding.State.FAILED)
        row.error_code, row.error_message = error.code, texts.clean(error)
        self.outcome.rows.append(row)


def _row(picture: pictures.Picture, state: str, region: tuple[float, ...] = ()) -> rows.Row:
    return rows.Row(
        region=region,
        product=picture.product,
        image_key=picture.key,
        position=picture.position,
        state=str(state),
        source_name=picture.name,
        source_sha256=picture.sha256,
        source_size=picture.size,
    )


def _stored(index: SearchIndex, keys: Sequence[Any]) -> defaultdict[Any, dict[str, dict[tuple[float, ...], Any]]]:
    """Return SHA-256 ("" unless ready), position, name and size of each row, by product, image key and region."""
    found: defaultdict[Any, dict[str, dict[tuple[float, ...], Any]]] = defaultdict(dict)
    stored = ProductEmbedding.objects.using(conf.settings.DATABASE).filter(index=index, product_id__in=keys)
    fields = ("product_id", "image_key", "region", "state", "source_sha256", "position", "source_name", "source_size")
    for product, key, region, state, sha256, *others in stored.values_list(*fields):
        ready = sha256 if state == ProductEmbedding.State.READY else ""
        found[product].setdefault(key, {})[tuple(region)] = (ready, *others)
    return found
