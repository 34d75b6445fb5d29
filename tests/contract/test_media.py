"""MediaIngest, MediaArchive, MediaLive, MediaPlayback and ArchiveFiles."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.contract.media_subjects import CAMERA, END_US, SECOND_US, START_US, SUBJECTS, UNKNOWN, Subject, subject
from vms.contracts.files import ArchiveFiles
from vms.contracts.media import CameraSource, ExportOrder, ExportProgress
from vms.contracts.playback import RecordedBytes
from vms.domain.cameras import StreamSource
from vms.domain.errors import Failure

SPAN = (START_US + 60 * SECOND_US, START_US + 70 * SECOND_US)
# Nobody answers at the discard port.
SOURCE = CameraSource(
    streams={
        "main": StreamSource(url="rtsp://127.0.0.1:9/main"),
        "sub": StreamSource(url="rtsp://127.0.0.1:9/sub", transport="udp"),
    },
    username="ana",
    password=SecretStr("s3crét"),
    recording={"main": "continuous", "sub": "off"},
)
OFFER_SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"


@pytest.fixture(params=SUBJECTS)
def media(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    with subject(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def files(media: Subject) -> ArchiveFiles:
    return media.files


def _kind(action: Callable[[], object]) -> str:
    with pytest.raises(Failure) as refused:
        action()
    return refused.value.kind


def _bytes(content: RecordedBytes, offset: int = 0, length: int | None = None) -> bytes:
    return b"".join(content.read(offset, content.size_bytes if length is None else length))


def test_a_camera_is_known_until_it_is_removed(media: Subject) -> None:
    assert _kind(lambda: media.ingest.camera_status(UNKNOWN)) == "not_found"
    media.ingest.remove_camera(UNKNOWN)
    media.ingest.set_camera(UNKNOWN, SOURCE)
    media.ingest.set_camera(UNKNOWN, SOURCE)
    assert media.ingest.camera_status(UNKNOWN).state in {"connecting", "offline", "error"}
    assert list(media.ingest.camera_statuses()) == [UNKNOWN]
    media.ingest.remove_camera(UNKNOWN)
    assert media.ingest.camera_statuses() == {}
    assert _kind(lambda: media.ingest.camera_status(UNKNOWN)) == "not_found"


def test_a_timeline(media: Subject) -> None:
    shown = media.archive.timeline(CAMERA, *SPAN)
    assert [(entry.start_us, entry.end_us, entry.stream) for entry in shown.ranges] == [(*SPAN, "main")]
    assert shown.gaps == []
    assert media.archive.timeline(UNKNOWN, *SPAN).ranges == []
    assert media.archive.timeline(CAMERA, END_US + 3600 * SECOND_US, END_US + 3601 * SECOND_US).ranges == []


def test_pictures_of_a_recording(media: Subject) -> None:
    picture = media.archive.picture_at(CAMERA, SPAN[0], "main")
    assert len(picture.units) == len(picture.pts_90k) > 0
    assert abs(picture.captured_us - SPAN[0]) < SECOND_US
    assert _kind(lambda: media.archive.picture_at(UNKNOWN, SPAN[0], "main")) == "not_found"
    assert _kind(lambda: media.archive.picture_at(CAMERA, START_US - 9 * 3600 * SECOND_US, "main")) == "not_found"


def test_figures_and_the_report_of_the_start(media: Subject) -> None:
    metrics = media.archive.media_metrics()
    assert metrics.disk_total_bytes >= metrics.disk_free_bytes > 0
    assert media.archive.repair_report().files_repaired == 0


def _finished(media: Subject, export_id: str) -> ExportProgress:
    deadline = time.monotonic() + 30
    while (progress := media.archive.export_progress(export_id)).state == "running":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return progress


def test_an_export_comes_into_the_directory_of_its_order(media: Subject, tmp_path: Path) -> None:
    directory = tmp_path / "export"
    directory.mkdir()
    order = ExportOrder(camera_ids=[CAMERA], start_us=SPAN[0], end_us=SPAN[1], format="mp4", directory=str(directory))
    media.archive.export_start(CAMERA, order)
    progress = _finished(media, CAMERA)
    assert (progress.state, progress.error) == ("done", None)
    assert progress.path is not None
    path = Path(progress.path)
    assert path.parent == directory
    assert hashlib.sha256(path.read_bytes()).hexdigest() == progress.sha256
    assert [(file.name, file.size_bytes) for file in progress.files] == [(path.name, path.stat().st_size)]
    assert media.archive.export_progress(CAMERA) == progress
    if media.remote:
        assert list((tmp_path / "outgoing").iterdir()) == []


def test_exports_of_nothing(media: Subject, tmp_path: Path) -> None:
    order = ExportOrder(camera_ids=[UNKNOWN], start_us=SPAN[0], end_us=SPAN[1], format="zip", directory=str(tmp_path))
    assert _kind(lambda: media.archive.export_start(UNKNOWN, order)) == "not_found"
    assert _kind(lambda: media.archive.export_progress(UNKNOWN)) == "not_found"


def test_a_camera_that_shows_nothing(media: Subject) -> None:
    media.ingest.set_camera(UNKNOWN, SOURCE)
    assert _kind(lambda: media.live.picture_now(UNKNOWN, "main")) == "conflict"
    assert _kind(lambda: media.live.whep_patch("nobody", "")) in {"not_found", "unavailable"}
    assert _kind(lambda: media.live.whep_resize("nobody", 100)) in {"not_found", "unavailable"}
    assert _kind(lambda: media.live.whep_close("nobody")) in {"not_found", "unavailable"}
    assert _kind(lambda: media.live.whep_open(UNKNOWN, "auto", OFFER_SDP, 360)) != "internal"
    assert _kind(lambda: media.live.whep_open(UNKNOWN, "main", "no offer", None)) != "internal"
    assert _kind(lambda: media.live.picture_now(CAMERA, "main")) == "not_found"


def test_playback_has_a_length_and_a_tag(media: Subject) -> None:
    content = media.playback.playback_open(CAMERA, "main", *SPAN)
    assert content.content_type == "video/mp4"
    assert content.start_us == SPAN[0]
    assert content.next_start_us is None
    whole = _bytes(content)
    assert len(whole) == content.size_bytes > 0
    again = media.playback.playback_open(CAMERA, "main", *SPAN)
    assert (again.etag, again.size_bytes) == (content.etag, content.size_bytes)
    other = media.playback.playback_open(CAMERA, "main", SPAN[0], SPAN[1] + SECOND_US)
    assert other.etag != content.etag
    for opened in (content, again, other):
        opened.close()


def test_parts_of_playback(media: Subject) -> None:
    content = media.playback.playback_open(CAMERA, "main", *SPAN)
    whole = _bytes(content)
    size = content.size_bytes
    for offset, length in ((0, 1), (size - 1, 1), (1000, 300_000), (size - 5, 100), (size, 1), (2 * size, 10), (7, 0)):
        assert _bytes(content, offset, length) == whole[offset : offset + length]
    assert max(len(piece) for piece in content.read(0, size)) <= 256 << 10
    begun = content.read(0, size)
    next(begun)
    # Two may read at once, and one may stop in the middle.
    assert _bytes(content, 10, 10) == whole[10:20]
    begun.close()  # type: ignore[attr-defined]  # iterators of the contract are generators
    assert _bytes(content, 0, 5) == whole[:5]


def test_playback_of_nothing(media: Subject) -> None:
    assert _kind(lambda: media.playback.playback_open(UNKNOWN, "main", *SPAN)) == "not_found"
    assert _kind(lambda: media.playback.playback_open(CAMERA, "sub", *SPAN)) == "not_found"
    assert _kind(lambda: media.playback.playback_open(CAMERA, "main", SPAN[1], SPAN[0])) == "invalid"
    assert _kind(lambda: media.playback.hls_playlist(UNKNOWN, "main", *SPAN)) == "not_found"
    assert _kind(lambda: media.playback.hls_init(CAMERA, "main", "nonsense")) == "not_found"
    assert _kind(lambda: media.playback.hls_segment(CAMERA, "main", "nonsense", None, None)) == "not_found"


def test_a_playlist_and_what_it_names(media: Subject) -> None:
    lines = media.playback.hls_playlist(CAMERA, "main", *SPAN).splitlines()
    assert lines[0] == "#EXTM3U"
    assert lines[-1] == "#EXT-X-ENDLIST"
    init = next(line.split('"')[1] for line in lines if line.startswith("#EXT-X-MAP"))
    name = init.removeprefix("init-").removesuffix(".mp4")
    assert len(_bytes(media.playback.hls_init(CAMERA, "main", name))) > 0
    uri = next(line for line in lines if not line.startswith("#"))
    segment = uri.removeprefix("segment-").removesuffix(".m4s")
    content = media.playback.hls_segment(CAMERA, "main", segment, SPAN[0], SPAN[1])
    assert len(_bytes(content)) == content.size_bytes > 0
    assert content.start_us is None
    late = START_US + 1800 * SECOND_US
    for granted in ((late, END_US), (START_US, START_US + 30 * SECOND_US)):
        refused = _kind(lambda granted=granted: media.playback.hls_segment(CAMERA, "main", segment, *granted))  # type: ignore[misc]
        assert refused == "forbidden"
    assert media.playback.hls_segment(CAMERA, "main", segment, None, None).etag == content.etag


def test_files_and_what_becomes_of_them(files: ArchiveFiles) -> None:
    everything = files.file_changes(0)
    assert everything.whole
    sealed = next(file for file in everything.files if file.sealed)
    assert (sealed.camera_id, sealed.stream) == (CAMERA, "main")
    assert files.file_changes(everything.revision).files == []
    assert len(files.hash_file(sealed.camera_id, sealed.name, None)) == 64
    assert files.rebuild_index(sealed.camera_id, sealed.name).records > 0
    assert files.remove_file(sealed.camera_id, sealed.name) > 0
    after = files.file_changes(everything.revision)
    assert not after.whole
    assert [(file.camera_id, file.name) for file in after.removed] == [(sealed.camera_id, sealed.name)]
    assert _kind(lambda: files.remove_file(sealed.camera_id, sealed.name)) == "not_found"
    assert _kind(lambda: files.hash_file(CAMERA, "../../etc/passwd", None)) in {"not_found", "invalid"}
    assert files.volumes()[0].free_bytes > 0


def test_files_that_move(files: ArchiveFiles) -> None:
    volumes = files.volumes()
    sealed = next(file for file in files.file_changes(0).files if file.sealed)
    assert _kind(lambda: files.move_file(CAMERA, sealed.name, "nowhere", None)) == "not_found"
    if len(volumes) > 1:
        files.move_file(CAMERA, sealed.name, volumes[1].name, 10**9)
        moved = {file.name: file.volume for file in files.file_changes(0).files}
        assert moved[sealed.name] == volumes[1].name
    assert _kind(lambda: files.use_object(CAMERA, sealed.name, "key")) == "conflict"
