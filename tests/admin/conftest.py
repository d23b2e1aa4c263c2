from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client


@pytest.fixture
def staff(db: None) -> Callable[..., Client]:
    """Return a function that signs in a member of staff who has the permissions of these code names."""

    def sign_in(*codenames: str, **options: Any) -> Client:
        user = User.objects.create_user(f"staff-{'-'.join(codenames)}", is_staff=True)
        found = Permission.objects.filter(content_type__app_label="visual_search", codename__in=codenames)
        assert found.count() == len(codenames)
        user.user_permissions.set(found)
        client = Client(**options)
        client.force_login(user)
        return client

    return sign_in
