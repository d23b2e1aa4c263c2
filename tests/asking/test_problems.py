from __future__ import annotations

import pytest

from visual_search import exceptions
from visual_search.asking import problems


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (exceptions.BadImage(code="image_too_large"), 413),
        (exceptions.BadImage(code="image_format"), 415),
        (exceptions.BadImage(), 422),
        (exceptions.BadImage(code="image_timeout"), 422),
        (exceptions.InvalidQuery(code="photo_missing"), 400),
        (exceptions.InvalidQuery(code="product_not_found"), 404),
    ],
)
def test_of__has_a_status_that_fits_the_code(error: exceptions.VisualSearchError, status: int) -> None:
    assert problems.of(error) == problems.Problem(status=status, code=error.code, detail=str(error))


def test_of__a_fault_of_ours() -> None:
    assert problems.of(ZeroDivisionError()) is None
