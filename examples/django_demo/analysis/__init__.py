"""Takes uploaded files and has them analysed by a task.

sample ─→ (file) ─→ views ─→ tasks ─→ text ─→ access_log | table ─→ (report) ─→ pages, chart
"""
