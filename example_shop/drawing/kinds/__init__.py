"""Draw each department of the shop, a family of things a module."""
