"""How often one visitor may ask. Throttles count in the cache by account, or by address for everybody else.

They keep ordinary clients fair and are no defence against an attack (Django REST framework says so too): two requests
at once may count as one, and the address is as trustworthy as the proxy in front (see its NUM_PROXIES).
"""

from __future__ import annotations

import logging
import math
from typing import Any

from rest_framework.settings import api_settings
from rest_framework.throttling import SimpleRateThrottle

from visual_search import conf

logger = logging.getLogger("visual_search.api")


def understands(rate: Any) -> bool:
    """Return whether throttles take `rate`: "120/min", or None for no limit."""
    if rate is None:
        return True
    try:
        # It looks at nothing of its throttle, and making one would parse the settings' rates.
        number, _ = SimpleRateThrottle.parse_rate(None, rate)  # type: ignore[arg-type]
    except (AttributeError, ValueError, KeyError, IndexError):
        return False
    return number is not None and number >= 0


class SearchThrottle(SimpleRateThrottle):
    """Searches that start from a product, be it in the API or on the page, and reports of clicks."""

    scope = "visual_search"

    def get_rate(self) -> str | None:
        """Return the project's rate for the scope where REST_FRAMEWORK names it, else API_RATES', else the default."""
        for rates in (api_settings.DEFAULT_THROTTLE_RATES, conf.settings.API_RATES, conf.Settings.API_RATES):
            if self.scope in rates:
                rate = rates[self.scope]
                return None if rate is None else str(rate)
        return None

    def get_cache_key(self, request: Any, view: Any) -> str:
        """Return the key under which the visitor's requests are counted."""
        user = getattr(request, "user", None)
        ident = user.pk if user is not None and user.is_authenticated else self.get_ident(request)
        return self.cache_format % {"scope": self.scope, "ident": ident}

    def seconds_to_wait(self, request: Any) -> int | None:
        """Count `request`, of a page; return None where it may go on, else in how many seconds the next one may."""
        if self.allow_request(request, None):
            return None
        return max(1, math.ceil(self.wait() or 1))

    def allow_request(self, request: Any, view: Any) -> bool:
        """Return whether the request may go on; it may where the cache is away, since search must not stop with it."""
        try:
            return bool(super().allow_request(request, view))
        except Exception:
            logger.exception("Requests can't be counted, and are not throttled.")
            return True


class UploadThrottle(SearchThrottle):
    """Photos, which cost a decoder and an encoder."""

    scope = "visual_search_upload"
