from __future__ import annotations

import io
import subprocess
import sys
from typing import Any

import pytest
import yaml
from django.core.management import call_command

from tests.processes import ROOT


@pytest.fixture
def paths() -> Any:
    output = io.StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=output)
    document = yaml.safe_load(output.getvalue())
    return {path: each for path, each in document["paths"].items() if "/visual-search/" in path}


def test_schema__describes_every_answer_without_a_warning(paths: Any) -> None:
    described = {
        (path, method): sorted(operation["responses"])
        for path, operations in paths.items()
        for method, operation in operations.items()
    }

    assert described == {
        ("/api/visual-search/v1/products/{key}/similar/", "get"): ["200", "400", "404", "429", "503"],
        ("/api/visual-search/v1/search/", "get"): ["200", "400", "429", "503"],
        ("/api/visual-search/v1/products/{key}/explain/{result}/", "get"): [
            "200",
            "400",
            "401",
            "403",
            "404",
            "422",
            "429",
            "503",
        ],
        ("/api/visual-search/v1/regions/", "post"): ["200", "400", "413", "415", "422", "429", "503"],
        ("/api/visual-search/v1/search/", "post"): ["200", "400", "413", "415", "422", "429", "503"],
        ("/api/visual-search/v1/events/", "post"): ["204", "400", "404", "413", "415", "429", "503"],
    }


def test_schema__names_the_catalogs_filters(paths: Any) -> None:
    names = {each["name"] for each in paths["/api/visual-search/v1/products/{key}/similar/"]["get"]["parameters"]}

    searched = {each["name"]: each for each in paths["/api/visual-search/v1/search/"]["get"]["parameters"]}
    own = {"category", "brand", "price_min", "price_max", "stock_min"}

    assert names == {"key", "limit", "colour", "diversity", "text", "without"} | own
    assert set(searched) == names - {"key"}
    assert [name for name, each in searched.items() if each.get("required")] == ["text"]


def test_schema__describes_the_regions_of_a_photo(paths: Any) -> None:
    described = paths["/api/visual-search/v1/search/"]["post"]["parameters"]

    (region,) = [each["schema"] for each in described if each["name"] == "region"]
    assert region == {"type": "array", "items": {"type": "string"}}


def test_schema__is_not_needed() -> None:
    # A process of its own, in which drf-spectacular can't be imported.
    code = """
import os, sys
sys.modules["drf_spectacular"] = None
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
from django.conf import settings
settings.INSTALLED_APPS.remove("drf_spectacular")
settings.REST_FRAMEWORK.clear()
settings.ROOT_URLCONF = "visual_search.api.urls"
import django
django.setup()
from django.test import RequestFactory
from visual_search.api import views
answer = views.Search.as_view()(RequestFactory().put("/"))
print(answer.status_code, answer.data)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.stdout, done.returncode) == (
        "405 {'code': 'method_not_allowed', 'detail': 'Method \"PUT\" not allowed.'}\n",
        0,
    ), done.stderr
