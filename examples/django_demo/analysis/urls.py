"""The addresses of the pages."""

from __future__ import annotations

from django.urls import path

from analysis import views

urlpatterns = [
    path("", views.home, name="home"),
    path("upload/", views.upload, name="upload"),
    path("sample/", views.sample, name="sample"),
    path("jobs/<uuid:upload_id>/", views.job, name="job"),
    path("jobs/<uuid:upload_id>/state.json", views.job_state, name="job-state"),
]
