"""The addresses of the demonstration."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    # Also without DEBUG: a real site has a web server in front that does this.
    path("static/<path:path>", serve, {"insecure": True}),
    path("", include("analysis.urls")),
]
