"""The settings of visual search: `settings.VISUAL_SEARCH`, one dict, read live."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings

if TYPE_CHECKING:
    EncoderSpec = str | Mapping[str, Any]


class Settings:
    """Defaults of `settings.VISUAL_SEARCH`; every attribute here is a documented key.

    A value is looked up in Django's settings each time, so `override_settings` works and nothing is cached.
    """

    PRODUCT_MODEL: str = ""
    """The shop's product model, "app_label.Model". Set it before the first migrate, like AUTH_USER_MODEL."""

    PRODUCT_MIGRATION: str = "__first__"
    """Name of the migration that creates the product model, where that isn't its app's first."""

    CATALOG: str = "visual_search.catalog.Catalog"
    """Dotted path of the `Catalog` that says which products and images there are."""

    ENCODERS: Sequence[EncoderSpec] = ("efficientnet_lite0", "colour")
    """Encoders of a new index: names ("timm:resnet50") or dicts with "name", "weights", "sha256", "size", "crops"."""

    COLOUR_SHARE: float = 0.2
    """Share of the colour part in what counts as near, in an index that gets one; `colour=` asks for another."""

    LEARN_PHOTO_MEAN: bool = True
    """Keep the sum of customers' photos' vectors and their number, and centre later photos on their mean."""

    REGIONS: int = 0
    """Things on a catalogue picture, 0 to 4, that get vectors of their own in a new index: finds what is in a scene."""

    METRIC: str = "cosine"
    """What makes two pictures alike in a new index: "cosine", "pearson" or "euclidean"."""

    DEVICE: str = "auto"
    """Where encoders run: "auto" (CUDA when there), "cpu", "cuda", "cuda:1"."""

    RUNTIME: str = "auto"
    """What encoders run on: "auto" (OpenVINO where it is installed, on a CPU; else torch) or "torch"."""

    ENCODER_CACHE: str = "~/.cache/django-visual-search"
    """Folder that keeps networks converted for OpenVINO; "" keeps none, and each process converts its own."""

    GPU_PIPELINE: str = "off"
    """Have the worker decode and resize on the GPU, too: "off", "eager" or "compiled" (slow to start; pays in bulk)."""

    BATCH_SIZE: int = 32
    """Pictures encoded at once."""

    QUEUE: str = "visual_search"
    """Celery queue of the worker."""

    TEXT_CONFIG: str = "auto"
    """Postgres's text search configuration for words: "auto" (that of LANGUAGE_CODE), "simple", "german" ..."""

    TEXT_ENCODER: str = ""
    """Sentence encoder of the texts: "all-MiniLM-L6-v2" (English), a folder, or "" for Postgres's full text alone."""

    DATABASE: str = "default"
    """Database alias that holds products and embeddings."""

    EF_SEARCH: int = 100
    """Least `hnsw.ef_search` of a query: more finds more, and takes longer."""

    UPLOAD_MAX_BYTES: int = 10 * 2**20
    """Largest photo that a customer may send, in bytes."""

    UPLOAD_MAX_PIXELS: int = 25_000_000
    """Largest photo that a customer may send, in pixels."""

    PROPOSE_REGIONS: bool = True
    """Offer parts of a customer's photo on the page: looking for them costs some four times what the search does."""

    MAX_LIMIT: int = 48
    """Most results that one API request may ask for, up to 100."""

    API_RATES: Mapping[str, str] = {"visual_search": "120/min", "visual_search_upload": "20/min"}
    """Throttle rates by scope; REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"] wins where it names the scope."""

    RECORD_EVENTS: bool = True
    """Record what kind of search was made and what was clicked (never a photo) for the analytics page."""

    EVENT_RETENTION_DAYS: int = 90
    """Days after which recorded searches are deleted, by Celery's beat or by `manage.py visual_search prune`."""

    def __getattribute__(self, name: str) -> Any:
        found = chosen()
        return found[name] if name in found else object.__getattribute__(self, name)


settings = Settings()


def names() -> list[str]:
    """Return the known keys, in the order of their documentation."""
    return [name for name in vars(Settings) if name.isupper()]


def chosen() -> Mapping[str, Any]:
    """Return what the project set; nothing where that is no dict, which check E001 reports."""
    found = getattr(django_settings, "VISUAL_SEARCH", None)
    return found if isinstance(found, Mapping) else {}


def machine() -> dict[str, str]:
    """Return what `encoders.load` has to know of this machine."""
    return {"device": settings.DEVICE, "runtime": settings.RUNTIME, "cache": settings.ENCODER_CACHE}


def product_label() -> str:
    """Return PRODUCT_MODEL where it has the form of a model's label, else "", which check E003 reports."""
    label = settings.PRODUCT_MODEL
    return label if isinstance(label, str) and re.fullmatch(r"\w+\.\w+", label) else ""
