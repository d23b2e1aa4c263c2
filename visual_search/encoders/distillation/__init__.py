"""Teach a small network what a larger one sees in the shop's own pictures; no labels are needed.

Both look at the same views: pictures mirrored, or as a customer might photograph them. A student that had to give the
teacher's vector of the catalogue's picture for a photo learned 282 pictures by heart, and lost 16 points of R@1 on real
photos: Beyer et al. 2022, "Knowledge distillation: A good teacher is patient and consistent", say why. The relational
term is that of Park et al. 2019, "Relational Knowledge Distillation", on cosines.
"""

from __future__ import annotations
