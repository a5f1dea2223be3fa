"""The app of ``marks`` with a task that older workers do not know."""

from tests.apps.marks import app


@app.task(name="future")
def future(number):
    return number
