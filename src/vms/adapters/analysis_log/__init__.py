"""What analysis found, in `ai_HH.vms-idx` beside the recordings (docs/format/analysis.md)."""

from vms.adapters.analysis_log.files import AnalysisLogFiles

__all__ = ["AnalysisLogFiles"]
