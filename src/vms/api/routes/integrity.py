"""Whether what was recorded is there as it was recorded: verifications, rebuilds, the key."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from vms.api.dependencies import ServicesOf, permitted
from vms.api.times import ApiTime
from vms.contracts.catalogue import CheckOrder, Finding, FindingKind, Integrity, RebuildOrder, Work, WorkState
from vms.domain import recordings
from vms.domain.errors import Failure
from vms.domain.ids import is_id
from vms.domain.permissions import Permission

router = APIRouter(prefix="/api/v1/storage", tags=["integrity"])
_reads = Depends(permitted(Permission.READ_METRICS))
_maintains = Depends(permitted(Permission.MAINTAIN_STORAGE))
MOST_JOBS = 16


class VerificationRequest(BaseModel):
    """What to verify: all cameras, all times unless said otherwise."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    camera_id: str | None = None
    start: ApiTime | None = None
    end: ApiTime | None = None
    max_mb_per_s: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    jobs: Annotated[int, Field(ge=1, le=MOST_JOBS)] = 2
    resume: bool = False


class RebuildRequest(BaseModel):
    """What to make anew beside the catalogue."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    indexes: bool = False
    max_mb_per_s: Annotated[int | None, Field(ge=1, le=1_000_000)] = None


class FindingAnswer(BaseModel):
    """Something that is not as it should be; `damage` is false for what is only noteworthy."""

    kind: FindingKind
    damage: bool
    detail: str
    camera_id: str | None
    name: str | None
    volume: str | None
    at: ApiTime | None
    start: ApiTime | None
    end: ApiTime | None
    day: str | None
    line: int | None

    @classmethod
    def of(cls, finding: Finding) -> FindingAnswer:
        """The answer for a finding."""
        return cls.model_construct(
            kind=finding.kind,
            damage=finding.is_damage,
            detail=finding.detail,
            camera_id=finding.camera_id,
            name=finding.name,
            volume=finding.volume,
            at=finding.at_us,
            start=finding.start_us,
            end=finding.end_us,
            day=finding.day,
            line=finding.line,
        )


class WorkAnswer(BaseModel):
    """A verification or a rebuild, under way or ended."""

    id: str
    what: Literal["verification", "rebuild"]
    state: WorkState
    damaged: bool
    started_at: ApiTime
    ended_at: ApiTime | None
    files_total: int
    files_done: int
    files_skipped: int
    bytes_total: int
    bytes_done: int
    chain_lines: int
    indexes_rebuilt: int
    records_rebuilt: int
    events_read: int
    error: str | None
    findings: list[FindingAnswer]
    findings_left_out: int

    @classmethod
    def of(cls, work: Work) -> WorkAnswer:
        """The answer for a work."""
        fields = work.model_dump(exclude={"started_us", "ended_us", "findings"})
        return cls.model_construct(
            **fields,
            damaged=work.is_damaged,
            started_at=work.started_us,
            ended_at=work.ended_us,
            findings=[FindingAnswer.of(finding) for finding in work.findings],
        )


class HeadAnswer(BaseModel):
    """The newest line of a camera's chain: kept elsewhere, it proves later that the chain was not cut."""

    camera_id: str
    day: str
    number: int
    line_sha256: str


class IntegrityAnswer(BaseModel):
    """What is known without reading the archive."""

    key_id: str
    files: int
    files_chained: int
    files_verified: int
    files_damaged: int
    oldest_verified_at: ApiTime | None
    findings: list[FindingAnswer]
    heads: list[HeadAnswer]
    running: list[WorkAnswer]


def _integrity(part: ServicesOf) -> Integrity:
    if part.integrity is None:
        raise Failure("unavailable", "this server does not keep its archive's files itself")
    return part.integrity


Checking = Annotated[Integrity, Depends(_integrity)]


@router.get("/integrity", dependencies=[_reads])
def integrity_status(integrity: Checking) -> IntegrityAnswer:
    """Counts, the damage that stands, and where every chain ends."""
    status = integrity.status()
    return IntegrityAnswer.model_construct(
        key_id=status.key_id,
        files=status.files,
        files_chained=status.files_chained,
        files_verified=status.files_verified,
        files_damaged=status.files_damaged,
        oldest_verified_at=status.oldest_verified_us,
        findings=[FindingAnswer.of(finding) for finding in status.findings],
        heads=[HeadAnswer(**head.model_dump()) for head in status.heads],
        running=[WorkAnswer.of(work) for work in status.running],
    )


@router.get("/integrity-key", dependencies=[_reads], response_class=Response)
def integrity_key(integrity: Checking) -> Response:
    """The public key that the chains are signed for, in PEM."""
    return Response(integrity.public_key_pem(), media_type="application/x-pem-file")


@router.post("/verifications", status_code=202, dependencies=[_maintains])
def create_verification(integrity: Checking, wanted: VerificationRequest, response: Response) -> WorkAnswer:
    """Begins to verify; ask its Location for progress. A camera that is no longer there may have recordings still."""
    if wanted.camera_id is not None and not is_id(wanted.camera_id):
        raise Failure("not_found", "no camera has this identifier", code="camera-not-found")
    if wanted.start is not None and wanted.end is not None:
        recordings.span(wanted.start, wanted.end)
    work = integrity.verify(
        CheckOrder(
            camera_id=wanted.camera_id,
            start_us=wanted.start,
            end_us=wanted.end,
            max_bytes_per_s=wanted.max_mb_per_s * 1_000_000 if wanted.max_mb_per_s is not None else None,
            jobs=wanted.jobs,
            resume=wanted.resume,
        )
    )
    response.headers["Location"] = f"/api/v1/storage/verifications/{work.id}"
    return WorkAnswer.of(work)


@router.post("/rebuilds", status_code=202, dependencies=[_maintains])
def create_rebuild(integrity: Checking, wanted: RebuildRequest, response: Response) -> WorkAnswer:
    """Begins to make the catalogue anew, with `indexes` every index too; recording goes on."""
    rate = wanted.max_mb_per_s * 1_000_000 if wanted.max_mb_per_s is not None else None
    work = integrity.rebuild(RebuildOrder(indexes=wanted.indexes, max_bytes_per_s=rate))
    response.headers["Location"] = f"/api/v1/storage/rebuilds/{work.id}"
    return WorkAnswer.of(work)


@router.get("/verifications/{work_id}", dependencies=[_reads])
@router.get("/rebuilds/{work_id}", dependencies=[_reads])
def get_work(integrity: Checking, work_id: str) -> WorkAnswer:
    """Its progress, and what it found so far."""
    return WorkAnswer.of(integrity.work(work_id))


@router.delete("/verifications/{work_id}", status_code=204, dependencies=[_maintains])
@router.delete("/rebuilds/{work_id}", status_code=204, dependencies=[_maintains])
def cancel_work(integrity: Checking, work_id: str) -> Response:
    """Ends it early; a verification can be resumed."""
    integrity.cancel(work_id)
    return Response(status_code=204)
