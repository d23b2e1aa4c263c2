from __future__ import annotations

from decimal import Decimal

from django import template
from django.utils.formats import number_format
from django.utils.translation import gettext as _

register = template.Library()


@register.filter
def money(price: Decimal | None) -> str:
    """Return the price as customers read it, or that they have to ask."""
    if price is None:
        return _("Price on request")
    return f"£{number_format(price, decimal_pos=2, force_grouping=True)}"
