"""From products to the words that can be searched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from django.conf import settings as django_settings
from django.conf.locale import LANG_INFO
from django.db import connections
from pgvector import HalfVector

from visual_search import catalog, conf
from visual_search.models import ProductText

LONGEST = 50_000
"""Characters of a text that count: Postgres refuses a vector of more than 1 MB."""

AUTO, SIMPLE = "auto", "simple"

STEMMED = frozenset({
    "arabic", "armenian", "basque", "catalan", "danish", "dutch", "english", "finnish", "french", "german",
    "greek", "hindi", "hungarian", "indonesian", "irish", "italian", "lithuanian", "nepali", "norwegian",
    "portuguese", "romanian", "russian", "serbian", "spanish", "swedish", "tamil", "turkish",
})  # fmt: skip
"""Languages that every Postgres from 14 on can stem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """What is said of a product: its title, and what else is searched."""

    title: str
    text: str


def config() -> str:
    """Return the text search configuration: TEXT_CONFIG, or the one of the project's language where that is "auto"."""
    chosen = str(conf.settings.TEXT_CONFIG)
    if chosen != AUTO:
        return chosen
    info = LANG_INFO.get(django_settings.LANGUAGE_CODE.lower().split("-")[0], {})
    language = str(info.get("name", "")).lower().split(" ")[0]
    return language if language in STEMMED else SIMPLE


def of(products: Iterable[Any]) -> dict[Any, Text]:
    """Return what the catalog says of `products`, by key; nothing where it fails, which is logged."""
    shop = catalog.current()
    return {
        product.pk: Text(
            title=clean(catalog.said(shop.title, product, otherwise=""))[:LONGEST],
            text=clean(catalog.said(shop.text, product, otherwise=""))[:LONGEST],
        )
        for product in products
    }


def clean(text: Any) -> str:
    """Return `text` as Postgres can hold it: without NUL and halves of characters, and runs of spaces as one."""
    return " ".join(str(text).encode(errors="replace").decode().replace("\0", " ").split())


def write(
    texts: Mapping[Any, Text], *, vectors: Mapping[Any, Any] = MappingProxyType({}), fingerprint: str | None = None
) -> None:
    """Store `texts`, by product, in the caller's transaction; rows that say the same already are not written.

    With what some of them mean: `vectors` by the encoder with that `fingerprint`, "" for none. With None, the vector of
    a text that is stored already stays.
    """
    if not texts:
        return
    connection, name = connections[conf.settings.DATABASE], config()
    key = catalog.product_model()._meta.pk.rel_db_type(connection)
    table = ProductText._meta.db_table
    with connection.cursor() as cursor:
        # In the order of the keys: the workers of two indexes may write the same products.
        cursor.execute(
            f"""
            INSERT INTO {table} (product_id, title, text, config, vector, embedding, fingerprint)
            SELECT new.key, new.title, new.text, %(config)s::text,
                setweight(to_tsvector(%(config)s::text::regconfig, new.title), 'A')
                    || to_tsvector(%(config)s::text::regconfig, new.text),
                new.embedding::halfvec, CASE WHEN new.embedding IS NULL THEN '' ELSE %(fingerprint)s::text END
            FROM unnest(%(keys)s::{key}[], %(titles)s::text[], %(texts)s::text[], %(embeddings)s::text[])
                new(key, title, text, embedding)
            LEFT JOIN {table} old ON old.product_id = new.key
            WHERE (old.title, old.text, old.config, old.fingerprint) IS DISTINCT FROM
                (new.title, new.text, %(config)s::text, coalesce(%(fingerprint)s::text, old.fingerprint))
            ORDER BY new.key
            ON CONFLICT (product_id) DO UPDATE SET title = excluded.title, text = excluded.text,
                config = excluded.config, vector = excluded.vector, embedding = excluded.embedding,
                fingerprint = excluded.fingerprint
            """,
            {
                "config": name,
                "keys": list(texts),
                "titles": [each.title for each in texts.values()],
                "texts": [each.text for each in texts.values()],
                "embeddings": [HalfVector(vectors[key]).to_text() if key in vectors else None for key in texts],
                "fingerprint": fingerprint,
            },
        )


def stale(said: Mapping[Any, Text], *, fingerprint: str | None) -> set[Any]:
    """Return the keys of those texts in `said` that are not stored as they are, or not with that `fingerprint`."""
    stored = ProductText.objects.using(conf.settings.DATABASE).filter(product__in=list(said), config=config())
    if fingerprint is not None:
        stored = stored.filter(fingerprint=fingerprint)
    known = {
        key: Text(title=title, text=text) for key, title, text in stored.values_list("product_id", "title", "text")
    }
    return {key for key, text in said.items() if known.get(key) != text}
