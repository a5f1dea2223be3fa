"""What was uploaded. What the analysis found is the task's result, kept by the queue."""

from __future__ import annotations

import uuid

from django.db import models
from django.urls import reverse

__all__ = ["Upload"]


class Upload(models.Model):
    """One file to be analysed, and the task that does it."""

    class Kind(models.TextChoices):
        UPLOADED = "uploaded", "Uploaded file"
        SAMPLE = "sample", "Generated sample"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    file = models.FileField(upload_to="uploads/%Y-%m-%d/", max_length=255)
    name = models.CharField("file name", max_length=255)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.UPLOADED)
    created_at = models.DateTimeField(auto_now_add=True)
    task_id = models.CharField(max_length=255, blank=True, default="")

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("job", args=[self.pk])
