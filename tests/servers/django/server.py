"""An authorization server with django-oauth-toolkit, without OpenID Connect, and with its own API."""

import json
import os
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings

SETUP = json.loads(os.environ["SETUP"])
FOLDER = Path(os.environ["FOLDER"])

settings.configure(
    DEBUG=False,
    SECRET_KEY=os.urandom(32).hex(),
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "db.sqlite3"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "corsheaders",
        "oauth2_provider",
    ],
    MIDDLEWARE=[
        "corsheaders.middleware.CorsMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": [Path(__file__).parent],
            "APP_DIRS": True,
            "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
        }
    ],
    LOGIN_URL="/login",
    CORS_ALLOWED_ORIGINS=SETUP["apps"],
    CORS_URLS_REGEX=r"^/(o|api)/.*$",
    OAUTH2_PROVIDER={"SCOPES": {"orders": "Orders"}, "ALLOWED_REDIRECT_URI_SCHEMES": ["http", "https"]},
)
django.setup()

from django.contrib.auth import get_user_model
from django.contrib.auth.views import LoginView
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import include, path
from oauth2_provider.decorators import protected_resource
from oauth2_provider.models import get_application_model


@protected_resource(scopes=["orders"])
def me(request):
    return JsonResponse({"user": request.resource_owner.username})


@protected_resource(scopes=["orders"])
def profile(request):
    return JsonResponse({"id": request.resource_owner.pk, "username": request.resource_owner.username})


urlpatterns = [
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
    path("login", LoginView.as_view(template_name="login.html")),
    path("api/me", me),
    path("api/profile", profile),
]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


call_command("migrate", verbosity=0)
get_user_model().objects.create_user(**SETUP["user"])
Application = get_application_model()
for client in SETUP["clients"]:
    Application.objects.create(
        client_id=client["id"],
        client_secret=client.get("secret", ""),
        client_type="confidential" if client.get("secret") else "public",
        authorization_grant_type="authorization-code",
        redirect_uris=client["redirectUri"],
        skip_authorization=True,
    )
server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet)
print(json.dumps({"port": server.server_port}), flush=True)
server.serve_forever()
