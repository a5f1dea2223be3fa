"""Uploads in Django's admin."""

from __future__ import annotations

from django.contrib import admin

from analysis.models import Upload


@admin.register(Upload)
class UploadAdmin(admin.ModelAdmin):
    list_display = ("name", "kind", "created_at", "task_id")
    list_filter = ("kind", "created_at")
    search_fields = ("name", "task_id")
    readonly_fields = ("created_at", "task_id")
    date_hierarchy = "created_at"
