"""The media core's errors as one exception. In Python, since the stable ABI has no native exceptions with fields."""


class MediaError(Exception):
    """One sentence, and its `kind` (see `__init__.pyi`)."""

    def __init__(self, message: str, kind: str = "internal") -> None:
        super().__init__(message)
        self.kind = kind
