"""canaille with its store in memory, and with an API that needs an access token."""

import datetime
import json
import os
import time
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, make_server

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend

SETUP = json.loads(os.environ["SETUP"])
SCOPE = ["openid", "profile", "email"]


def client(told):
    """Returns a client as the administration's pages create it."""
    uri = urlsplit(told["redirectUri"])
    return models.Client(
        client_id=told["id"],
        client_secret=told.get("secret"),
        client_id_issued_at=datetime.datetime.now(datetime.timezone.utc),
        client_name="The app",
        # CORS depends on this address.
        client_uri=f"{uri.scheme}://{uri.netloc}",
        redirect_uris=[told["redirectUri"]],
        post_logout_redirect_uris=[told["postLogoutRedirectUri"]],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        scope=SCOPE,
        token_endpoint_auth_method=told["auth"],
        jwks=json.dumps({"keys": [told["publicKey"]]}) if "publicKey" in told else None,
    )


app = create_app(
    config={
        "SECRET_KEY": os.urandom(32).hex(),
        "SERVER_NAME": urlsplit(SETUP["origin"]).netloc,
        "PREFERRED_URL_SCHEME": "http",
        "SESSION_COOKIE_SECURE": False,
        "CANAILLE": {"DATABASE": "memory", "LOGGING": {"version": 1}},
        "CANAILLE_OIDC": {},
    }
)
with app.app_context():
    user = models.User(
        user_name=SETUP["user"]["username"],
        password=SETUP["user"]["password"],
        formatted_name="Alice Liddell",
        family_name="Liddell",
        emails=["alice@example.com"],
    )
    Backend.instance.save(user)
    for told in SETUP["clients"]:
        registered = client(told)
        Backend.instance.save(registered)
        registered.audience = [registered]
        Backend.instance.save(registered)


def with_api(environ, start_response):
    if environ["PATH_INFO"] == "/api/me":
        environ["PATH_INFO"] = "/oauth/userinfo"
    if environ["PATH_INFO"] == "/oauth/token":
        # Access tokens have no `jti`: the tokens of two refreshes in one second are equal, and are refused as replaced.
        time.sleep(1 - time.time() % 1)
    return app(environ, start_response)


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


server = make_server("127.0.0.1", 0, with_api, handler_class=Quiet)
print(json.dumps({"port": server.server_port}), flush=True)
server.serve_forever()
