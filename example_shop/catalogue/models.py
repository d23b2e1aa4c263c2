"""Products as many shops have them: a category, variants, and several pictures each."""

from __future__ import annotations

from django.db import models
from django.urls import reverse

SCARCE = 2
"""As many pieces left, or fewer, are called the last ones."""


class Category(models.Model):
    name = models.CharField(max_length=100)
    slug = models.SlugField(max_length=100, unique=True)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "categories"

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("home", query={"category": self.slug})


class ProductQuerySet(models.QuerySet["Product"]):
    def public(self) -> ProductQuerySet:
        """Return the products that customers may see."""
        return self.filter(is_public=True)

    def for_cards(self) -> ProductQuerySet:
        """Bring along what a product card shows, in a constant number of queries."""
        return self.select_related("category").prefetch_related("images")


class Product(models.Model):
    slug = models.SlugField(max_length=150, unique=True)
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True)
    category = models.ForeignKey(Category, models.PROTECT, related_name="products")
    brand = models.CharField(max_length=100, blank=True)
    colour = models.CharField(max_length=50, blank=True)
    price = models.DecimalField(max_digits=10, decimal_places=2, null=True, blank=True)
    stock = models.PositiveIntegerField(default=0)
    is_public = models.BooleanField("shown in the shop", default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ProductQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        indexes = [models.Index(fields=["category", "price"]), models.Index(fields=["brand"])]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("product", args=[self.pk])

    @property
    def pictures(self) -> list[ProductImage]:
        """Return the pictures in order; no query where they were brought along."""
        return list(self.images.all())

    @property
    def is_scarce(self) -> bool:
        """Tell whether customers should know that few are left."""
        return 0 < self.stock <= SCARCE


class Variant(models.Model):
    """One article of a product: the same thing in another colour."""

    product = models.ForeignKey(Product, models.CASCADE, related_name="variants")
    sku = models.CharField(max_length=100, unique=True)
    colour = models.CharField(max_length=50, blank=True)
    price = models.DecimalField(max_digits=10, decimal_places=2, null=True, blank=True)
    stock = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.sku


class ProductImage(models.Model):
    product = models.ForeignKey(Product, models.CASCADE, related_name="images")
    image = models.ImageField(upload_to="products/")
    alt = models.CharField(max_length=250, blank=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "pk"]

    def __str__(self) -> str:
        return self.alt or str(self.image)
