"""A Django project in one file, for its two ways to be served: `application` for gunicorn, `app` for uvicorn."""

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

from pydoudou.contrib.asgi import Registered


def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello")


urlpatterns = [path("", hello)]
# Callers name the service in the header Host, as they wrote it in the URL: http://orders/
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["orders", "127.0.0.1"])

application = get_wsgi_application()  # registered by gunicorn's hooks
app = Registered(get_asgi_application())  # registered while uvicorn answers
