"""The report: one HTML file that holds everything it shows."""

from unfeature.report.page import ReportData, render

__all__ = ["ReportData", "render"]
