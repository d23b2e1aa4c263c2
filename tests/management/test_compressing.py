from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from django.core.management import CommandError, call_command

from tests import factories
from visual_search import conf, models
from visual_search.encoders import registry

pytestmark = [pytest.mark.django_db, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def run(*arguments: str) -> str:
    output = io.StringIO()
    call_command("visual_search", *arguments, stdout=output, stderr=output, no_color=True)
    return output.getvalue()


@pytest.fixture
def shop() -> models.SearchIndex:
    """A live index of two dozen pictures, one of a product that lost its file, and one that is none."""
    shapes = ("circle", "square", "bar")
    for number in range(24):
        colour = factories.COLOURS[number % len(factories.COLOURS)]
        factories.product(pictures=[factories.picture(colour, shapes[number // 8], size=64)])
    factories.product(pictures=[b"no picture"])
    index = factories.embed()
    assert index is not None
    return index


@pytest.fixture
def network(tmp_path: Path) -> dict[str, Any]:
    torch.manual_seed(3)
    torch.save(timm.create_model("test_efficientnet").state_dict(), tmp_path / "start.pth")
    return {"name": "timm:test_efficientnet", "weights": str(tmp_path / "start.pth"), "size": 64}


def made(said: str) -> tuple[dict[str, Any], list[str]]:
    """Return the spec that was printed, and the arguments of the command beside it."""
    spec, command = said.splitlines()[-2:]
    arguments = command.partition("manage.py visual_search ")[2]
    assert arguments == f"index create --encoder '{spec}'"
    return json.loads(spec), ["index", "create", "--encoder", spec]


def gated(arguments: list[str]) -> models.SearchIndex:
    """Run the printed command, and take the new index as far as the gate lets it."""
    run(*arguments)
    index = models.SearchIndex.objects.using(conf.settings.DATABASE).get(state="building")
    run("index", "fill", str(index.pk))
    assert "It passes the gate." in run("index", "evaluate", str(index.pk))
    run("activate", str(index.pk))
    index.refresh_from_db()
    return index


def test_distil__gives_an_index_that_passes_the_gate(
    shop: models.SearchIndex, network: dict[str, Any], tmp_path: Path
) -> None:
    out = tmp_path / "student.safetensors"
    command = ["distil", "--teacher", "tiny", "--student", json.dumps(network), "--out", str(out)]

    said = run(*command, "--epochs", "1", "--batch-size", "8")

    assert "Learned from 24 pictures; agreement with the teacher" in said
    spec, arguments = made(said)
    assert spec == network | {"weights": str(out), "sha256": spec["sha256"]}
    index = gated(arguments)
    assert index.state == "live"
    assert index.encoders == [spec]


def test_quantise__gives_an_index_that_passes_the_gate(
    shop: models.SearchIndex, network: dict[str, Any], tmp_path: Path
) -> None:
    pytest.importorskip("nncf")
    pytest.importorskip("openvino")
    out = tmp_path / "network.int8"

    said = run("quantise", json.dumps(network), "--out", str(out), "--pictures", "12")

    assert said.splitlines()[0] == "calibrated on  12 pictures"
    spec, arguments = made(said)
    assert spec["precision"] == "int8"
    assert gated(arguments).fingerprint != shop.fingerprint


def test_distil__says_what_is_no_network(shop: models.SearchIndex, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="The encoder tiny is no torch network"):
        run("distil", "--teacher", "tiny", "--student", "tiny", "--out", str(tmp_path / "none"))


def test_spec__that_is_no_json() -> None:
    with pytest.raises(CommandError, match="is no JSON"):
        run("index", "create", "--encoder", "{name: lite0}")


def test_create__takes_an_encoder_with_options(shop: models.SearchIndex, network: dict[str, Any]) -> None:
    run("index", "create", "--encoder", json.dumps(network), "--encoder", "tiny")
    index = models.SearchIndex.objects.get(state="building")
    assert index.encoders == [network, "tiny"]
    registry.validate(index.encoders[0])
