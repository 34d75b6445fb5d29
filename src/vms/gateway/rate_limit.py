"""Token buckets, one per caller, in bounded memory. No clock inside: the time is passed in."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may pass; when not, after how many seconds one would."""

    allowed: bool
    retry_after_s: float = 0.0


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at_s: float


class TokenBuckets:
    """`per_minute` requests a minute for each key, a minute's worth at once at most; 0 allows everything.

    At most `capacity` keys are remembered. When that many are known, the one that asked longest ago is forgotten:
    an attacker with more addresses than that gains full buckets, but never the server's memory.
    """

    def __init__(self, per_minute: int, *, capacity: int = 10_000) -> None:
        if per_minute < 0 or capacity < 1:
            raise ValueError("a rate is not negative and at least one key is remembered")
        self._burst = float(per_minute)
        self._per_second = per_minute / 60.0
        self._capacity = capacity
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: str, now_s: float) -> Verdict:
        """Takes one token of `key`'s bucket at `now_s` (a clock that does not step back)."""
        if self._per_second == 0:
            return Verdict(allowed=True)
        bucket = self._buckets.pop(key, None)
        if bucket is None:
            bucket = _Bucket(self._burst, now_s)
            if len(self._buckets) >= self._capacity:
                self._buckets.popitem(last=False)
        elapsed_s = max(0.0, now_s - bucket.at_s)
        bucket.tokens = min(self._burst, bucket.tokens + elapsed_s * self._per_second)
        bucket.at_s = max(bucket.at_s, now_s)
        self._buckets[key] = bucket
        if bucket.tokens >= 1.0:
            bucket.tokens -= 1.0
            return Verdict(allowed=True)
        return Verdict(allowed=False, retry_after_s=(1.0 - bucket.tokens) / self._per_second)
