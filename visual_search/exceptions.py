"""Every error that the package raises on purpose; imports no Django, so that images/ and encoders/ can use it."""

from __future__ import annotations


class VisualSearchError(Exception):
    """Visual search could not do what was asked."""

    code = "error"

    def __init__(self, message: str = "", *, code: str | None = None) -> None:
        super().__init__(message or self.__doc__)
        if code is not None:
            self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        # The default loses the keyword: a code has to survive a process boundary.
        return _rebuild, (type(self), str(self), self.code)


def _rebuild(kind: type[VisualSearchError], message: str, code: str) -> VisualSearchError:
    return kind(message, code=code)


class ConfigurationError(VisualSearchError):
    """A setting of visual search, or a catalog, is wrong."""

    code = "configuration"


class InvalidQuery(VisualSearchError):
    """The search was asked for something that it does not offer."""

    code = "invalid_query"


class BadImage(VisualSearchError):
    """The picture can't be used."""

    code = "image_unreadable"


class EncoderError(VisualSearchError):
    """The encoder could not turn pictures into vectors."""

    code = "encoder_failed"


class EncoderUnavailable(EncoderError):
    """The encoder can't be loaded on this machine."""

    code = "encoder_unavailable"


class WeightsError(EncoderError):
    """The weights file is not what was asked for."""

    code = "weights_invalid"


class NoLiveIndex(VisualSearchError):
    """There is no live index yet: run `manage.py visual_search sync`, or start a worker."""

    code = "no_live_index"


class IndexStateError(VisualSearchError):
    """The index is not in a state that allows this."""

    code = "index_state"
