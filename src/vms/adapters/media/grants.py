"""Grants signed and checked by the media core, so that both sides read them alike."""

from __future__ import annotations

from pydantic import ValidationError
from vms_media import Grants, MediaError

from vms.contracts.grants import Grant
from vms.domain.errors import Failure


class MediaGrantSigner:
    """Satisfies `vms.contracts.grants.GrantSigner`."""

    def __init__(self, key: bytes) -> None:
        self._grants = Grants(key.hex())

    def sign(self, grant: Grant) -> str:
        return self._grants.sign(grant.model_dump_json())

    def verify(self, token: str) -> Grant:
        try:
            return Grant.model_validate_json(self._grants.verify(token))
        except (MediaError, ValidationError) as error:
            raise Failure("unauthorized", "the link is not one of ours", code="invalid-link") from error
