"""An OpenID Connect provider: discovery, the way to it, and what its ID token says. Needs the extra `oidc`.

OpenID Connect Core 1.0, 3.1: authorization code; RFC 7636: PKCE with S256. What is checked of a token: its signature by
a key of the provider, issuer, audience, authorised party, expiry, time of issue and nonce.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from ems.web.organisation import Client, Identity, OrganisationError, is_safe

ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]  # never "none", and no shared secret
LEEWAY_S = 60  # by which two clocks may differ
TIMEOUT_S = 10.0


class OpenIdProvider:
    """One provider. What it says of itself is asked for at the first sign-in, and its keys again when one is new."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._http = httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False)
        self._guard = threading.Lock()
        self._told: dict[str, Any] | None = None
        self._keys: KeySet | None = None

    @property
    def name(self) -> str:
        return self.client.name

    @property
    def issuer(self) -> str:
        return self.client.issuer

    def address(self, back: str, state: str, nonce: str, verifier: str) -> str:
        """Where a browser is sent to sign in. Raises OrganisationError."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code", "client_id": self.client.client_id, "redirect_uri": back, "state": state,
            "nonce": nonce, "scope": "openid email", "code_challenge": challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        at = self._endpoint("authorization_endpoint")
        return f"{at}{'&' if '?' in at else '?'}{urlencode(asked)}"

    def who(self, code: str, back: str, nonce: str, verifier: str, now: datetime) -> Identity:
        """Who came back with this code. Raises OrganisationError."""
        given = {"grant_type": "authorization_code", "code": code, "redirect_uri": back, "code_verifier": verifier}
        secret, name = self.client.client_secret, self.client.client_id
        # RFC 6749, 2.3.1: encoded as in a form before it becomes a header.
        basic = None if secret is None else httpx.BasicAuth(quote(name, safe=""), quote(secret, safe=""))
        if secret is None:
            given["client_id"] = name
        answer = self._json("POST", self._endpoint("token_endpoint"), data=given, auth=basic)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise OrganisationError("the provider gave no ID token")
        return self._identity(self._claims(token), nonce, now)

    def _claims(self, token: str) -> dict[str, Any]:
        """What a token says, if a key of the provider has signed it."""
        for fresh in (False, True):
            try:
                return dict(jwt.decode(token, self._key_set(fresh), algorithms=ALGORITHMS).claims)
            except (JoseError, ValueError) as error:
                refused = error
        raise OrganisationError(f"the ID token is not signed by the provider: {refused}") from refused

    def _identity(self, claims: dict[str, Any], nonce: str, now: datetime) -> Identity:
        rules = jwt.JWTClaimsRegistry(
            now=int(now.timestamp()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self.client.issuer},
            aud={"essential": True, "value": self.client.client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            rules.validate(claims)
        except JoseError as error:
            raise OrganisationError(f"the ID token is not for us, or not for now: {error}") from error
        audience = claims["aud"]
        party = claims.get("azp")
        alone = isinstance(audience, str) or audience == [self.client.client_id]
        if party != self.client.client_id and not (party is None and alone):
            raise OrganisationError("the ID token was made for another party")
        subject, email = claims["sub"], claims.get("email")
        if not isinstance(subject, str) or not 0 < len(subject) <= 255:
            raise OrganisationError("the ID token names nobody")
        verified = claims.get("email_verified") is True and isinstance(email, str)
        return Identity(self.client.issuer, subject, email if verified else None)

    # What the provider says of itself

    def _endpoint(self, name: str) -> str:
        with self._guard:
            if self._told is None:
                at = f"{self.client.issuer.rstrip('/')}/.well-known/openid-configuration"
                told = self._json("GET", at)
                if told.get("issuer") != self.client.issuer:
                    raise OrganisationError(f"{at} speaks for {told.get('issuer')}")
                self._told = told
        found = self._told.get(name)
        if not isinstance(found, str) or not is_safe(found):
            raise OrganisationError(f"the provider names no safe {name}")
        return found

    def _key_set(self, fresh: bool) -> KeySet:
        if self._keys is None or fresh:
            self._keys = KeySet.import_key_set(self._json("GET", self._endpoint("jwks_uri")))  # type: ignore[arg-type]
        return self._keys

    def _json(self, method: str, address: str, **more: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, address, **more)
            answer.raise_for_status()
            found = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise OrganisationError(f"{address} does not answer as it should: {error}") from error
        if not isinstance(found, dict):
            raise OrganisationError(f"{address} answers with no object")
        return found
