"""How well pictures are understood: clips whose truth was drawn by eye, and scores by standard libraries."""

from vms.adapters.evaluation.clip import pictures
from vms.adapters.evaluation.detection_scores import DetectionScores, score_detection
from vms.adapters.evaluation.event_scores import EventScores, FoundEvent, score_events
from vms.adapters.evaluation.tracking_scores import TrackingScores, score_tracking
from vms.adapters.evaluation.truth import Seen, Truth, read_truth

__all__ = [
    "DetectionScores",
    "EventScores",
    "FoundEvent",
    "Seen",
    "TrackingScores",
    "Truth",
    "pictures",
    "read_truth",
    "score_detection",
    "score_events",
    "score_tracking",
]
