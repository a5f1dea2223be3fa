"""The pages. A view stores the file, hands the work to a task and answers at once."""

from __future__ import annotations

from pathlib import PurePath
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from analysis.chart import bar_chart
from analysis.models import Upload
from analysis.progress import describe
from analysis.sample import SAMPLE_LINES
from analysis.tasks import analyse
from umbel.exceptions import OperationalError

__all__ = ["home", "job", "job_state", "sample", "upload"]

_SAMPLE_FILE = "samples/access.log"
_RECENT = 8


class UploadForm(forms.Form):
    """One file; Django itself refuses a missing or an empty one."""

    file = forms.FileField(
        label="File to analyse",
        error_messages={
            "required": "Choose a file first.",
            "empty": "This file is empty: there is nothing to analyse.",
        },
    )


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    return _home(request, UploadForm())


@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return _home(request, form, status=400)
    file = form.cleaned_data["file"]
    return _enqueue(request, Upload(file=file, name=PurePath(file.name).name[:255]))


@require_POST
def sample(request: HttpRequest) -> HttpResponse:
    name = f"sample of {SAMPLE_LINES:,} lines"
    return _enqueue(request, Upload(file=_SAMPLE_FILE, name=name, kind=Upload.Kind.SAMPLE))


@never_cache
@require_safe
def job(request: HttpRequest, upload_id: UUID) -> HttpResponse:
    stored = get_object_or_404(Upload, pk=upload_id)
    progress = describe(stored)
    report = progress.get("report")
    context = {"upload": stored, "progress": progress, "report": report}
    if report is not None:
        context |= _chart(report)
    return render(request, "analysis/job.html", context)


@never_cache
@require_safe
def job_state(_request: HttpRequest, upload_id: UUID) -> JsonResponse:
    """What the page asks for every 400 ms."""
    stored = Upload.objects.filter(pk=upload_id).first()
    if stored is None:
        return JsonResponse({"error": "There is no such job."}, status=404)
    return JsonResponse(describe(stored))


def _home(request: HttpRequest, form: UploadForm, status: int = 200) -> HttpResponse:
    context = {"form": form, "recent": Upload.objects.all()[:_RECENT], "sample_lines": SAMPLE_LINES}
    return render(request, "analysis/home.html", context, status=status)


def _enqueue(request: HttpRequest, stored: Upload) -> HttpResponse:
    """Keep the upload, send the task, show the job's page."""
    stored.save()
    try:
        stored.task_id = analyse.delay(str(stored.pk)).id
    except OperationalError as error:
        if stored.kind == Upload.Kind.UPLOADED:
            stored.file.delete(save=False)
        stored.delete()
        return render(request, "analysis/unavailable.html", {"error": error}, status=503)
    stored.save(update_fields=["task_id"])
    return redirect(stored)


def _chart(report: dict) -> dict[str, object]:
    """The chart that goes with a report, and the same numbers for those who cannot see it."""
    if report["kind"] == "access log":
        title, unit = f"Requests per {report['traffic']['unit']}", "requests"
        bars = report["traffic"]["bars"]
    elif report["histogram"] is not None:
        title, unit = f"Distribution of “{report['histogram']['column']}”", "rows"
        bars = report["histogram"]["bars"]
    else:
        return {}
    svg = bar_chart([(label, count) for label, count in bars], title=title, unit=unit)
    # Every text in it was escaped by bar_chart.
    return {"chart": mark_safe(svg), "chart_title": title, "chart_unit": unit, "bars": bars}
