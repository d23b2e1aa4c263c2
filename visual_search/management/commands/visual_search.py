"""`manage.py visual_search sync | status | activate | index | evaluate | ...`."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError
from django.db import ProgrammingError

from visual_search import conf
from visual_search.exceptions import VisualSearchError
from visual_search.indexing import reconciler
from visual_search.indexing.generations import gate, hnsw, lifecycle, progress
from visual_search.indexing.intake import refills, sweeper
from visual_search.indexing.vectors import fit
from visual_search.insight import events
from visual_search.management import compressing, evaluating, filling, indexes
from visual_search.models import SearchIndex
from visual_search.retrieval import canary


class Command(BaseCommand):
    help = "Keep the search index: embed what is queued, show how far it is, switch indexes, find what was missed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
        sync = commands.add_parser("sync", help="Queue every product and embed until the queue is empty.")
        sync.add_argument("--strict", action="store_true", help="Exit 1 where pictures have failed.")
        commands.add_parser("status", help="Show the indexes and their progress.")
        activate = commands.add_parser("activate", help="Make an index the one that answers.")
        activate.add_argument("index", type=int, help="Number of the index, as `status` shows it.")
        activate.add_argument("--force", action="store_true", help="Even where it does not pass the gate.")
        indexes.add_arguments(commands.add_parser("index", help="Create, fill, build, evaluate, switch an index."))
        evaluating.add_arguments(
            commands.add_parser("evaluate", help="Measure how well is found what should be, on the shop's own data.")
        )
        commands.add_parser("sweep", help="Wake a worker where work waits (every minute, from cron or Celery's beat).")
        reconcile = commands.add_parser("reconcile", help="Queue products that changed without a signal (every night).")
        reconcile.add_argument("--deep", action="store_true", help="Read and compare the bytes of every file.")
        recall = commands.add_parser(
            "recall", help="Compare HNSW with exact search on the shop's products (every night); exit 1 below 95 %%."
        )
        recall.add_argument("--samples", type=int, default=canary.SAMPLES, help="Products to ask with (default: 100).")
        prune = commands.add_parser("prune", help="Delete recorded searches that are older than their retention.")
        prune.add_argument("--days", type=int, help="Keep this many days (default: EVENT_RETENTION_DAYS).")

        compressing.add_arguments(commands)

    def handle(self, *args: Any, subcommand: str, **options: Any) -> None:
        try:
            getattr(self, subcommand)(**options)
        except VisualSearchError as error:
            raise CommandError(str(error)) from error
        except ProgrammingError as error:
            if not isinstance(error.__cause__, psycopg.errors.UndefinedTable):
                raise
            raise CommandError(f"A table is missing: run `manage.py migrate` first. {error}") from error

    def sync(self, *, strict: bool, **options: Any) -> None:
        lifecycle.ensure_first()
        kept = lifecycle.fill_kept()
        if not kept and not self._indexes().exists():
            self.stdout.write("The shop lists no products yet: the first index is made for the first of them.")
            return
        if not kept:
            raise CommandError("Every index is retired: create one with `manage.py visual_search index create`.")
        state = filling.until_empty(self.stdout, kept[-1])
        if state.failed:
            self.stderr.write(f"{state.failed} pictures failed, the last one because: {state.last_error}")
            if strict:
                raise CommandError("There are failed pictures.", returncode=1)

    def status(self, **options: Any) -> None:
        if not self._indexes().exists():
            self.stdout.write("There is no index yet: run `manage.py visual_search sync`, or start a worker.")
        for index in self._indexes():
            state = progress.of(index)
            size = f"{index.metric}, {index.dimensions or '?'} dimensions, fitted on {index.fitted_on or 0} pictures"
            if index.projection:
                size += f", projection keeps {index.projection['overlap']:.0%} of the 10 nearest"
            self.stdout.write(f"{index}: {index.state}, {size}")
            self.stdout.write(
                f"    {state.done} of {state.listed} products done, {state.queued} queued; "
                f"{state.ready} pictures ready, {state.failed} failed"
            )
            if building := hnsw.progress(index.pk):
                self.stdout.write(f"    HNSW: {building.phase}, {building.done} of {building.total}")
            for advice in hnsw.health(index.pk).advice if index.state == SearchIndex.State.LIVE else ():
                self.stdout.write(self.style.WARNING(f"    {advice}"))
            if index.state == SearchIndex.State.LIVE and fit.outgrown(index):
                advice = f"It was fitted on {index.fitted_on} pictures: `index create` makes one that is fitted on all."
                self.stdout.write(self.style.WARNING(f"    {advice}"))
            settled = index.state in SearchIndex.KEPT and not refills.is_going_on(index)
            if settled and (missing := gate.missing(index)):
                self.stdout.write(
                    f"    {missing} listed products are neither in it nor queued: `sync` finds what no signal"
                    " announced, as after loaddata"
                )
            if state.last_error:
                self.stdout.write(f"    last error: {state.last_error}")

    def activate(self, **options: Any) -> None:
        indexes.handle(self, step="activate", **options)

    def index(self, **options: Any) -> None:
        indexes.handle(self, **options)

    def evaluate(self, **options: Any) -> None:
        evaluating.handle(self, **options)

    def sweep(self, **options: Any) -> None:
        found = sweeper.sweep()
        if found is None:
            self.stdout.write("Another sweep is running.")
            return
        self.stdout.write(
            f"{found.due} products due, {found.changes} changes to fold, {found.refills} indexes to fill, "
            f"{found.expired} leases had run out."
        )

    def reconcile(self, *, deep: bool, **options: Any) -> None:
        found = reconciler.reconcile(deep=deep)
        if found is None:
            self.stdout.write("Another reconciliation is running.")
            return
        self.stdout.write(f"{found.checked} products compared, {found.queued} queued.")
        if found.away:
            raise CommandError(f"The storage does not answer: the products after {found.after} are not compared.")

    def recall(self, *, samples: int, **options: Any) -> None:
        found = canary.measure(samples=samples)
        said = f"recall@10 {found.unfiltered:.1%}, filtered {found.filtered:.1%}, on {found.samples} products"
        if found.least >= canary.LEAST_RECALL:
            self.stdout.write(said)
            return
        self.stdout.write(self.style.WARNING(said))
        raise CommandError(
            f"Recall is below {canary.LEAST_RECALL:.0%}: run `manage.py visual_search index reindex {found.index}`, or "
            "raise EF_SEARCH.",
            returncode=1,
        )

    def distil(self, **options: Any) -> None:
        compressing.distil(self, **options)

    def quantise(self, **options: Any) -> None:
        compressing.quantise(self, **options)

    def prune(self, *, days: int | None, **options: Any) -> None:
        deleted = events.prune(conf.settings.EVENT_RETENTION_DAYS if days is None else days)
        self.stdout.write(f"{deleted} searches deleted.")

    def _indexes(self) -> Any:
        return SearchIndex.objects.using(conf.settings.DATABASE)
