from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

SORTS = {
    "newest": (_("Newest"), ("-created_at", "-pk")),
    "name": (_("Name, A to Z"), ("name", "pk")),
    "price": (_("Price, low to high"), ("price", "pk")),
    "-price": (_("Price, high to low"), ("-price", "pk")),
}
"""What customers may sort by: {parameter: (label, order)}; the first is the default."""


class FilterForm(forms.Form):
    """What a customer narrows the list by. A field that doesn't validate narrows nothing and says why.

    Category and brands are checked against those that there are, not here.
    """

    q = forms.CharField(label=_("Name"), max_length=100, required=False)
    price_min = forms.DecimalField(label=_("From"), min_value=0, max_digits=10, decimal_places=2, required=False)
    price_max = forms.DecimalField(label=_("To"), min_value=0, max_digits=10, decimal_places=2, required=False)
    in_stock = forms.BooleanField(label=_("In stock only"), required=False)
    sort = forms.ChoiceField(label=_("Sort by"), required=False)

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["sort"].choices = [(key, label) for key, (label, _order) in SORTS.items()]  # type: ignore[attr-defined]
        for name in ("price_min", "price_max"):
            self.fields[name].widget.attrs |= {"inputmode": "decimal", "min": "0", "step": "any"}
            self.fields[name].localize = False
