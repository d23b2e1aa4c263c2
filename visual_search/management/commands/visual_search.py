"""`manage.py visual_search sync | status | activate | prune`."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from visual_search import conf
from visual_search.exceptions import VisualSearchError
from visual_search.indexing import changes, lifecycle, progress, worker
from visual_search.insight import events
from visual_search.management import lines
from visual_search.models import SearchIndex


class Command(BaseCommand):
    help = "Keep the search index: embed what is queued, show how far it is, activate an index, delete old events."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="subcommand", required=True, metavar="SUBCOMMAND")
        sync = commands.add_parser("sync", help="Queue every product and embed until the queue is empty.")
        sync.add_argument("--strict", action="store_true", help="Exit 1 where pictures have failed.")
        commands.add_parser("status", help="Show the indexes and their progress.")
        activate = commands.add_parser("activate", help="Make an index the one that answers.")
        activate.add_argument("index", type=int, help="Number of the index, as `status` shows it.")
        prune = commands.add_parser("prune", help="Delete recorded searches that are older than their retention.")
        prune.add_argument("--days", type=int, help="Keep this many days (default: EVENT_RETENTION_DAYS).")

    def handle(self, *args: Any, subcommand: str, **options: Any) -> None:
        try:
            getattr(self, subcommand)(**options)
        except VisualSearchError as error:
            raise CommandError(str(error)) from error

    def sync(self, *, strict: bool, **options: Any) -> None:
        lifecycle.ensure_first()
        for index in self._indexes().kept():
            changes.queue_all(index)
        line = lines.ProgressLine(self.stdout)
        while True:
            busy = worker.run(seconds=0.5)
            if (current := self._current()) is not None:
                line.show(progress.of(current))
            if not busy:
                # What is left is in another worker's hands, or waits to be tried again.
                if not progress.outstanding():
                    break
                time.sleep(0.5)
        if (current := self._current()) is None:
            raise CommandError("No index wants products: every one is retired. Create one first.")
        state = progress.of(current)
        line.finish(state)
        if state.failed:
            self.stderr.write(f"{state.failed} pictures failed, the last one because: {state.last_error}")
            if strict:
                raise CommandError("There are failed pictures.", returncode=1)

    def status(self, **options: Any) -> None:
        if not self._indexes().exists():
            self.stdout.write("There is no index yet: run `manage.py visual_search sync`, or start a worker.")
        for index in self._indexes():
            state = progress.of(index)
            size = f"{index.dimensions or '?'} dimensions, fitted on {index.fitted_on or 0} pictures"
            self.stdout.write(f"{index}: {index.state}, {size}")
            self.stdout.write(
                f"    {state.done} of {state.listed} products done, {state.queued} queued; "
                f"{state.ready} pictures ready, {state.failed} failed"
            )
            if state.last_error:
                self.stdout.write(f"    last error: {state.last_error}")

    def activate(self, *, index: int, **options: Any) -> None:
        chosen = self._indexes().filter(pk=index).first()
        if chosen is None:
            known = ", ".join(str(key) for key in self._indexes().values_list("pk", flat=True)) or "none"
            raise CommandError(f"There is no index {index}. Indexes: {known}.")
        former = lifecycle.activate(chosen)
        self.stdout.write(self.style.SUCCESS(f"Index {chosen} is live."))
        if former is not None:
            self.stdout.write(f"To go back: manage.py visual_search activate {former.pk}")

    def prune(self, *, days: int | None, **options: Any) -> None:
        deleted = events.prune(conf.settings.EVENT_RETENTION_DAYS if days is None else days)
        self.stdout.write(f"{deleted} searches deleted.")

    def _indexes(self) -> Any:
        return SearchIndex.objects.using(conf.settings.DATABASE)

    def _current(self) -> SearchIndex | None:
        return self._indexes().kept().order_by("-id").first()
