"""What a search through the whole of Django costs, beside the same SQL on a plain connection."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import Any

import timing

WARM_UP = 20


def bare(index: Any, queries: dict[Any, Any], plans: dict[Any, Any], *, limit: int) -> Callable[[Any], Any]:
    """Return what runs the same statement on a plain psycopg connection with the settings made once, warmed up."""
    import psycopg
    from django.db import connection
    from pgvector.psycopg import register_vector

    from visual_search.retrieval import gate, nearest, targets

    database = connection.get_connection_params()
    names = {name: database[name] for name in ("dbname", "user", "password", "host", "port") if database.get(name)}
    plain = psycopg.connect(**names, autocommit=True)
    register_vector(plain)
    cursor = plain.cursor(binary=True)
    first = targets.of(index, next(iter(queries.values())))
    wide = nearest.settings_for(limit * nearest.OVERSAMPLE, beam=nearest.beam(index, first))
    for name, value in wide.items():
        cursor.execute(f"SET {name} = '{value}'")
    statements = {}
    for key, query in queries.items():
        last = plans[key].attempts[-1]
        statements[key] = nearest.statement_for(
            index, targets.of(index, query), gate=gate.of(query), limit=limit, exact=last.exact, width=last.width
        )
    for statement in [*statements.values()][:WARM_UP]:
        cursor.execute(*statement).fetchall()
    return lambda key: cursor.execute(*statements[key]).fetchall()


def shops_own_query(asked: Sequence[Any], *, limit: int) -> float:
    """Return the median in ms of loading `limit` products as the catalog does for a page, by their keys."""
    from visual_search import catalog

    pages = [asked[start : start + limit] for start in range(len(asked) - limit)]
    return statistics.median(timing.timed(lambda keys: catalog.current().products(None).in_bulk(keys), pages)[0])


def endpoint(index: Any, asked: Sequence[Any], *, limit: int) -> tuple[float, float]:
    """Return the medians in ms of `GET similar/`, and of the bare SQL and an empty view that returns the same rows."""
    import bare_urls
    from django.test import Client, override_settings
    from django.urls import reverse

    from visual_search.retrieval import gate, nearest, targets
    from visual_search.retrieval.query import Query

    queries = {key: Query(product=key, limit=limit) for key in asked}
    plans = {
        key: nearest.products(index, targets.of(index, q), gate=gate.of(q), limit=limit)[1]
        for key, q in queries.items()
    }
    statement, client = bare(index, queries, plans, limit=limit), Client()
    visitors = iter(range(10**6))

    def get(path: str) -> Any:
        # Each visitor asks a few times: a throttle's list of one that asked for hours would be no one's.
        number = next(visitors) // 20
        answer = client.get(path, REMOTE_ADDR=f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        assert answer.status_code == 200, answer.content
        return answer.json()

    def ours(key: Any) -> Any:
        return get(f"{reverse('visual_search_api:similar', args=[key])}?limit={limit}")

    def theirs(key: Any) -> Any:
        statement(key)
        return get("/bare/")

    with override_settings(ROOT_URLCONF="bare_urls"):
        bare_urls.ROWS.update(ours(asked[0]))
        assert len(bare_urls.ROWS["results"]) == min(limit, len(asked))
        answered, empty = map(statistics.median, timing.side_by_side((ours, theirs), asked, warm_up=WARM_UP))
    return answered, empty
