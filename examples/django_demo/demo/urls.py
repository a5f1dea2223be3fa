"""The addresses of the demonstration."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("admin/", admin.site.urls),
    # Also without DEBUG: a real site has a web server in front that does this.
    path("static/<path:path>", serve, {"insecure": True}),
    # Asked for by browsers on pages that name no icon: the admin's.
    path("favicon.ico", RedirectView.as_view(url=static("analysis/umbel.svg"))),
    path("", include("analysis.urls")),
]
