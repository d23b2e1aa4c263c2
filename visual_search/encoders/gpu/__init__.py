"""From bytes to vectors on a GPU: JPEGs decoded, resized, described by colour and encoded there, all overlapped.

Whatever a GPU can't take, or takes wrongly, goes the way of the CPU, picture by picture. Everything here runs on
torch's CPU device as well, which is how it is tested where there is no GPU.
"""

from __future__ import annotations
