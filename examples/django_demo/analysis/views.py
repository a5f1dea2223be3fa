"""The pages. A view stores the file, hands the work to a task and answers at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from functools import wraps
from http import HTTPStatus
from pathlib import PurePath
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

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


def _sent_by_a_form(view: Callable[[HttpRequest], HttpResponse]) -> Callable[..., HttpResponse]:
    """Whoever asks for the address itself, to see a refused form's page again, gets the form."""

    @require_http_methods(["GET", "HEAD", "POST"])
    @wraps(view)
    def answer(request: HttpRequest) -> HttpResponse:
        return view(request) if request.method == "POST" else redirect("home")

    return answer


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    return _home(request, UploadForm())


@_sent_by_a_form
def upload(request: HttpRequest) -> HttpResponse:
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return _home(request, form, status=400)
    file = form.cleaned_data["file"]
    return _enqueue(request, Upload(file=file, name=PurePath(file.name).name[:255]))


@_sent_by_a_form
def sample(request: HttpRequest) -> HttpResponse:
    name = f"Sample of {SAMPLE_LINES:,} lines"
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
        if report["kind"] == "access log":
            context |= {
                "statuses": list(_describe_statuses(report)),
                "days": _describe_days(report),
            }
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
        axis, unit = report["traffic"]["unit"], "requests"
        title = f"Requests per {axis}"
        bars = report["traffic"]["bars"]
    elif report["histogram"] is not None:
        axis, unit = report["histogram"]["column"], "rows"
        title = f"Distribution of “{axis}”"
        bars = report["histogram"]["bars"]
    else:
        return {}
    svg = bar_chart([(label, count) for label, count in bars], title=title, unit=unit)
    # Every text in it was escaped by bar_chart.
    names = {"chart_title": title, "chart_axis": axis, "chart_unit": unit}
    return names | {"chart": mark_safe(svg), "bars": bars}


def _describe_statuses(report: dict) -> Iterator[dict[str, object]]:
    meanings = {str(status.value): status.phrase for status in HTTPStatus}
    for status, count in report["statuses"]:
        share = 100 * count / report["requests"]
        yield {
            "status": status,
            "meaning": meanings.get(status, ""),
            "count": count,
            "share": f"{share:.1f} %" if share >= 0.05 else "< 0.1 %",  # noqa: PLR2004 - rounded
        }


def _describe_days(report: dict) -> str:
    """``14 Mar 2026`` or ``14 Mar 2026 to 2 Apr 2026``; nothing for a log without requests."""
    days = [date.fromisoformat(day) for day in sorted(set(report.get("days", ())))]
    return " to ".join(f"{day.day} {day:%b %Y}" for day in days)
