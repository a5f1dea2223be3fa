from __future__ import annotations

from django.http import HttpRequest, JsonResponse

from orders.models import Order
from orders.tasks import add


def send(request: HttpRequest) -> JsonResponse:
    result = add.delay(int(request.GET["x"]), int(request.GET["y"]))
    return JsonResponse({"id": result.id})


def answer(_request: HttpRequest, task_id: str) -> JsonResponse:
    result = add.AsyncResult(task_id)
    return JsonResponse({"state": result.state, "result": result.result})


def send_order(_request: HttpRequest) -> JsonResponse:
    return JsonResponse({"id": add.delay(Order(name="one"), 1).id})
