"""The report: one HTML file that holds everything it shows."""

from unfeature.report.page import ReportData, render, shown

__all__ = ["ReportData", "render", "shown"]
