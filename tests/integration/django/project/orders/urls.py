from __future__ import annotations

from django.urls import path

from orders import views

urlpatterns = [
    path("send/", views.send),
    path("answer/<str:task_id>/", views.answer),
    path("send-order/", views.send_order),
]
