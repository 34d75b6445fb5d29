"""The archive's files as the storage service knows them: by stream, in order of time."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from vms.contracts.files import FileChanges, RecordedFile

StreamKey = tuple[str, str]


def _place(file: RecordedFile) -> tuple[int, str]:
    return file.start_us, file.name


class KnownFiles:
    """What `file_changes` told so far. Sizes are kept as sums, so that nobody adds up all files every few seconds."""

    def __init__(self) -> None:
        self.revision = 0
        self._files: dict[tuple[str, str], RecordedFile] = {}
        self._streams: dict[StreamKey, list[RecordedFile]] = {}
        # Per camera and volume; what lies in the object storage is on no volume: the key "".
        self._bytes: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))

    def apply(self, changes: FileChanges) -> None:
        """Takes over what changed."""
        if changes.whole:
            self._files.clear()
            self._streams.clear()
            self._bytes.clear()
        for file in changes.files:
            self.put(file)
        for removed in changes.removed:
            self.drop(removed.camera_id, removed.name)
        self.revision = changes.revision

    def put(self, file: RecordedFile) -> None:
        """A file is new, or is another now."""
        self.drop(file.camera_id, file.name)
        self._files[file.camera_id, file.name] = file
        insort(self._streams.setdefault((file.camera_id, file.stream), []), file, key=_place)
        self._bytes[file.camera_id][_volume(file)] += file.size_bytes

    def drop(self, camera_id: str, name: str) -> None:
        """A file is gone; does nothing when it is not known."""
        file = self._files.pop((camera_id, name), None)
        if file is None:
            return
        stream = self._streams[camera_id, file.stream]
        del stream[bisect_left(stream, _place(file), key=_place)]
        if not stream:
            del self._streams[camera_id, file.stream]
        self._bytes[camera_id][_volume(file)] -= file.size_bytes

    def every(self) -> Iterable[RecordedFile]:
        """All of them, in no order."""
        return self._files.values()

    def __len__(self) -> int:
        return len(self._files)

    def streams(self) -> Mapping[StreamKey, Sequence[RecordedFile]]:
        """Every (camera, stream) and its files, the oldest first."""
        return self._streams

    def stream(self, camera_id: str, stream: str) -> Sequence[RecordedFile]:
        """The files of one stream, the oldest first."""
        return self._streams.get((camera_id, stream), ())

    def since(self, camera_id: str, stream: str, start_us: int) -> Iterator[RecordedFile]:
        """The files of a stream that begin at `start_us` or later, and the one before."""
        files = self._streams.get((camera_id, stream), [])
        first = bisect_left(files, (start_us, ""), key=_place)
        for index in range(max(0, first - 1), len(files)):
            yield files[index]

    def bytes_of(self, camera_id: str) -> int:
        """Of all a camera's files, wherever they lie."""
        return sum(self._bytes[camera_id].values()) if camera_id in self._bytes else 0

    def bytes_on(self, volume: str) -> dict[str, int]:
        """Per camera, what lies on a volume."""
        return {camera_id: sizes[volume] for camera_id, sizes in self._bytes.items() if sizes.get(volume, 0) > 0}

    def cameras(self) -> list[str]:
        """Those that have files."""
        return sorted({camera_id for camera_id, _ in self._streams})


def _volume(file: RecordedFile) -> str:
    return "" if file.object_key is not None else file.volume
