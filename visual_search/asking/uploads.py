"""Take a customer's photo into memory, and no more of it than is allowed: it never becomes a file."""

from __future__ import annotations

import io
import logging
from typing import Any

from django.core.files.uploadedfile import InMemoryUploadedFile, UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest
from django.utils.datastructures import MultiValueDict

from visual_search import conf
from visual_search.exceptions import BadImage, InvalidQuery

logger = logging.getLogger("visual_search.api")

FIELD = "photo"

ENVELOPE_BYTES = 64 * 2**10
"""What a request may be longer than its photo: the other fields, and multipart's own lines."""


class CappedMemoryUploadHandler(FileUploadHandler):
    """Keep uploaded files in memory; raise BadImage (`image_too_large`) at the first byte over the cap.

    Django's own handlers write a photo of more than 2.5 MB to the temporary folder. The cap holds for all files of a
    request together, and is raised out of the parser, so that the rest of the body is never read.
    """

    def __init__(self, request: HttpRequest | None = None) -> None:
        super().__init__(request)
        self.cap = conf.settings.UPLOAD_MAX_BYTES
        self._received = 0
        self._buffer = io.BytesIO()

    def handle_raw_input(
        self,
        input_data: Any,
        META: Any,  # noqa: N803
        content_length: int,
        boundary: Any,
        encoding: Any = None,
    ) -> None:
        if content_length > self.cap + ENVELOPE_BYTES:
            raise self._too_large()

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._buffer = io.BytesIO()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self._received += len(raw_data)
        if self._received > self.cap:
            raise self._too_large()
        self._buffer.write(raw_data)

    def file_complete(self, file_size: int) -> UploadedFile:
        self._buffer.seek(0)
        return InMemoryUploadedFile(
            file=self._buffer,
            field_name=self.field_name,
            name=self.file_name or "",
            content_type=self.content_type,
            size=file_size,
            charset=self.charset,
            content_type_extra=self.content_type_extra,
        )

    def _too_large(self) -> BadImage:
        if self.request is not None:
            # Whoever looks at request.POST later finds nothing there, and doesn't parse the body again.
            self.request._mark_post_parse_error()  # type: ignore[attr-defined]
        return BadImage(
            f"The picture's file is larger than {self.cap / 2**20:.0f} MB. Choose a smaller one.",
            code="image_too_large",
        )


def install(request: HttpRequest) -> None:
    """Make the capped handler the only one of `request`.

    Where a middleware has had the body read, it is too late, and the size is checked after the fact: then the log says
    that a photo may have become a temporary file.
    """
    if not hasattr(request, "_files"):
        request.upload_handlers = [CappedMemoryUploadHandler(request)]
    elif request._files:
        logger.warning(
            "A middleware read request.POST before %s: Django's own upload handlers had the photo, and write one of "
            "more than FILE_UPLOAD_MAX_MEMORY_SIZE to a temporary file.",
            request.path,
        )


def photo(files: MultiValueDict[str, UploadedFile]) -> UploadedFile:
    """Return the one photo among `files`; raise InvalidQuery (`photo_missing`, `photo_not_single`)."""
    found = files.getlist(FIELD)
    if not found:
        others = f" (there is a file in {', '.join(sorted(files))})" if files else ""
        raise InvalidQuery(
            f"There is no photo{others}: send one file in the field {FIELD!r} of a multipart form.",
            code="photo_missing",
        )
    if sum(len(each) for _, each in files.lists()) > 1:
        raise InvalidQuery("There is more than one file: send one photo at a time.", code="photo_not_single")
    return found[0]
