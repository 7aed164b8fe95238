"""An OpenID Connect provider on loopback, as strict as the specification allows, whose tokens can be bent."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.datastructures import FormData

from tests.web.serving import served

CLIENT, SECRET = "smartseille", "s3cret/with:signs"
HOST = "127.61.0.1"


class OpenIdPeer:
    """Signs in whoever comes as `person`, without asking."""

    def __init__(self, back: str, now: Callable[[], float]) -> None:
        self.issuer = ""
        self.back = back
        self.now = now
        self.person: dict[str, Any] = {"sub": "u-4711", "email": "anna@operator.example", "email_verified": True}
        self.claims: dict[str, Any] = {}  # in the place of what is right
        self.published = self.signs_with = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
        self.algorithm = "RS256"
        self.codes: dict[str, dict[str, str]] = {}
        self.asked_for_keys = 0
        self.app = FastAPI()
        self.app.get("/.well-known/openid-configuration")(self.configuration)
        self.app.get("/keys")(self.keys)
        self.app.get("/authorize")(self.authorize)
        self.app.post("/token")(self.token)

    @contextmanager
    def running(self) -> Iterator[OpenIdPeer]:
        with served(self.app, host=HOST) as address:
            self.issuer = address
            yield self

    def configuration(self) -> JSONResponse:
        told = {"issuer": "issuer", "authorization_endpoint": "/authorize", "token_endpoint": "/token",
                "jwks_uri": "/keys"}  # fmt: skip
        return JSONResponse({key: self.issuer + path if path[0] == "/" else self.issuer for key, path in told.items()})

    def keys(self) -> JSONResponse:
        self.asked_for_keys += 1
        return JSONResponse({"keys": [self.published.as_dict(private=False)]})

    def authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        right = {"response_type": "code", "client_id": CLIENT, "redirect_uri": self.back,
                 "code_challenge_method": "S256"}  # fmt: skip
        if any(asked.get(key) != value for key, value in right.items()) or "openid" not in asked["scope"].split():
            return JSONResponse({"error": "invalid_request"}, status_code=400)
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        given = urlencode({"code": code, "state": asked["state"], "iss": self.issuer})
        return RedirectResponse(f"{self.back}?{given}", status_code=302)

    async def token(self, request: Request) -> JSONResponse:
        form = await request.form()
        asked = self.codes.pop(str(form.get("code")), None)  # once
        if asked is None or not self._is_client(request) or not self._is_verifier(asked, form):
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        now = int(self.now())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        claims |= self.person | self.claims
        claims = {key: value for key, value in claims.items() if value is not None}
        token = jwt.encode({"alg": self.algorithm, "kid": self.signs_with.kid}, claims, self.signs_with)
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "id_token": token})

    def _is_client(self, request: Request) -> bool:
        right = base64.b64encode(f"{CLIENT}:s3cret%2Fwith%3Asigns".encode()).decode()
        return request.headers.get("authorization") == f"Basic {right}"

    def _is_verifier(self, asked: dict[str, str], form: FormData) -> bool:
        digest = hashlib.sha256(str(form.get("code_verifier")).encode()).digest()
        right = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return asked["code_challenge"] == right and form.get("redirect_uri") == self.back
