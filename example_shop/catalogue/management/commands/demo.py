from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from example_shop import embedded_postgres, processes
from example_shop.catalogue.models import Product
from visual_search.indexing.generations import progress
from visual_search.indexing.intake import nudge
from visual_search.management import lines
from visual_search.models import SearchIndex

DRAWN = "drawn"
POLL = 0.5
NUDGE_EVERY = 10.0
"""Seconds: a nudge may be lost, and the demo has nobody who sweeps."""


class Command(BaseCommand):
    help = "Run the whole shop: database, products, a Celery worker that embeds them, and a web server. Ends on Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--catalog", type=Path, help="a folder as import_catalog reads it (default: drawn products)"
        )
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--host", default="127.0.0.1")

    def handle(self, *args: Any, catalog: Path | None, port: int, host: str, **options: Any) -> None:
        try:
            with processes.only_one(settings.DATA_DIR / "demo.pid"), _interruptible(), _database():
                self._run(catalog, host, port)
        except processes.AlreadyRunning as other:
            raise CommandError(f"The demo runs already, as process {other}. Stop that one first (Ctrl-C).") from None
        except processes.Died as death:
            raise CommandError(str(death)) from None
        except KeyboardInterrupt:
            self.stdout.write("Stopped. Nothing is left running.")

    def _run(self, catalog: Path | None, host: str, port: int) -> None:
        if not processes.is_free(host, port):
            raise CommandError(f"Port {port} of {host} is in use. Choose another one: --port {port + 1}.")
        call_command("migrate", verbosity=0)
        self._fill(catalog.resolve() if catalog else None)
        account = _administrator()
        with contextlib.ExitStack() as stack:
            worker = self._start_worker()
            stack.callback(worker.stop)
            server = self._start_server(host, port)
            stack.callback(server.stop)
            # Said here and not in the end: what is stopped comes to an end only after this.
            stack.callback(lambda: self.stdout.write("\nStopping..."))
            address = f"http://{'127.0.0.1' if host == '0.0.0.0' else f'[{host}]' if ':' in host else host}:{port}"
            processes.wait_until_answers(f"{address}/", server)
            nudge.send()
            self.stdout.write(
                f"\n  {self.style.MIGRATE_HEADING('Shop')}        {address}/\n"
                f"  {self.style.MIGRATE_HEADING('Admin')}       {address}/admin/  ({account})\n"
                f"  {self.style.MIGRATE_HEADING('API schema')}  {address}/api/schema/\n"
                f"  {self.style.MIGRATE_HEADING('Logs')}        {worker.log}, {server.log}\n"
            )
            self._show_embedding([worker, server])
            self.stdout.write(self.style.SUCCESS("Ready. Press Ctrl-C to stop."))
            while True:
                worker.check()
                server.check()
                time.sleep(POLL)

    def _fill(self, folder: Path | None) -> None:
        """Load the catalogue that is wanted, unless a finished run has loaded it: the marker says which."""
        marker = settings.DATA_DIR / "catalogue.txt"
        wanted = str(folder) if folder else DRAWN
        loaded = marker.read_text() if marker.exists() else ""
        if loaded == wanted and (count := Product.objects.count()):
            self.stdout.write(f"The shop has its {count} products.")
            return
        marker.unlink(missing_ok=True)
        if folder:
            call_command("import_catalog", folder)
        else:
            call_command("seed_shop", flush=loaded not in ("", DRAWN))
        marker.write_text(wanted)

    def _start_worker(self) -> processes.Child:
        command = [sys.executable, "-m", "celery", "-A", "example_shop", "worker", "-Q", "visual_search", "-P", "solo"]
        command += ["-l", "INFO", "--without-gossip", "--without-mingle", "-n", "demo@%h"]
        return processes.start("worker", command, log=settings.DATA_DIR / "worker.log")

    def _start_server(self, host: str, port: int) -> processes.Child:
        command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "runserver", "--noreload"]
        command.append(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        environment = {"DEBUG": "1", "ALLOWED_HOSTS": ",".join({*settings.ALLOWED_HOSTS, host})}
        return processes.start("server", command, log=settings.DATA_DIR / "server.log", environment=environment)

    def _show_embedding(self, children: list[processes.Child]) -> None:
        """Show how far the newest index is, until the worker has nothing more to do for it."""
        line = lines.ProgressLine(self.stdout)
        count = line.counting("Embedding")
        started = nudged = time.monotonic()
        worked = False
        while True:
            for child in children:
                child.check()
            index = SearchIndex.objects.kept().order_by("-id").first()
            state = progress.of(index) if index else None
            if index is None or state is None:
                line.say("Embedding  the worker is starting")
            elif state.queued:
                worked = True
                count(state.done, state.listed, note=_pace(state))
            elif index.state == SearchIndex.State.BUILDING:
                line.say("Embedding  building the index")
            else:
                break
            if time.monotonic() - nudged > NUDGE_EVERY:
                nudged = time.monotonic()
                nudge.send()
            time.sleep(POLL)
        if worked:
            count(state.done, state.listed)
        line.close()
        took = f" in {time.monotonic() - started:.0f} s" if worked else ""
        self.stdout.write(f"{state.ready} pictures are embedded{took}.")
        if state.failed:
            self.stderr.write(f"{state.failed} pictures could not be; the last one: {state.last_error}")


def _pace(state: progress.Progress) -> str:
    if not state.rate or state.seconds_left is None:
        return ""
    return f"{state.rate:.0f} pictures/s, {state.seconds_left:.0f} s left"


def _administrator() -> str:
    """See that somebody can log in to the admin, and return how."""
    users = get_user_model()._default_manager
    if not users.filter(is_superuser=True).exists() and not users.filter(username="admin").exists():
        users.create_superuser("admin", "", "admin")
    admin = users.filter(username="admin", is_superuser=True).first()
    return "log in as admin / admin" if admin and admin.check_password("admin") else "log in with your own account"


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Take SIGTERM and a closed terminal as Ctrl-C; while everything is being stopped, take no notice of more."""

    def interrupt(number: int, frame: object) -> NoReturn:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {each: signal.signal(each, interrupt) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextlib.contextmanager
def _database() -> Iterator[None]:
    """Stop the embedded Postgres in the end; the settings started it."""
    try:
        yield
    finally:
        connections.close_all()
        if "DATABASE_URL" not in os.environ:
            embedded_postgres.stop(settings.DATA_DIR / "postgres")
