"""The table of uploads."""

import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = ()
    operations = (
        migrations.CreateModel(
            name="Upload",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("file", models.FileField(max_length=255, upload_to="uploads/%Y-%m-%d/")),
                ("name", models.CharField(max_length=255, verbose_name="file name")),
                (
                    "kind",
                    models.CharField(
                        choices=[("uploaded", "Uploaded file"), ("sample", "Generated sample")],
                        default="uploaded",
                        max_length=10,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("task_id", models.CharField(blank=True, default="", max_length=255)),
            ],
            options={"ordering": ("-created_at",)},
        ),
    )
