from __future__ import annotations

import uuid

from django.db import models


class Shelf(models.Model):
    name = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.name


class Article(models.Model):
    """A product with a UUID key and one picture in a field of its own; a child belongs to its parent."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=100)
    picture = models.ImageField(upload_to="articles/", blank=True)
    price = models.DecimalField(max_digits=8, decimal_places=2, null=True)
    stock = models.PositiveIntegerField(default=1)
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="children")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return f"/articles/{self.pk}/"


class Book(Article):
    """An article with a table of its own beside it."""

    pages = models.PositiveIntegerField(default=100)

    def __str__(self) -> str:
        return f"{self.name}, {self.pages} pages"


class Bargain(Article):
    """The same articles by another name."""

    class Meta:
        proxy = True

    def __str__(self) -> str:
        return f"{self.name}, cheap"
