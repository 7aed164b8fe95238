"""Passkeys: a device's fingerprint, face or PIN in the place of code and password, for those who want it.

The browser needs a script for it, the only one on the two pages that offer it; without one they say so, and code and
password stay. Checked are the challenge (kept in the store, taken once), our origin, that the device has verified its
user, the signature, and that its count has grown (W3C Web Authentication Level 3, 7.1 and 7.2).
"""

from __future__ import annotations

import hmac
import json
from datetime import datetime
from urllib.parse import urlsplit

from fastapi import Response
from starlette.exceptions import HTTPException
from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from ems.store import Account, Passkey, People
from ems.web.access import VISIT, Permission, token_of
from ems.web.door import Door
from ems.web.pages import START, Pages, Visit

MOST_ANSWER = 3800  # characters of what a device answers


class NoPasskeyError(ValueError):
    """What came in the place of a passkey opens nothing."""


class Passkeys:
    """Adds signing in by passkey, and adding and removing them. Only under the site's own name: `pages.origin`."""

    def __init__(self, pages: Pages, people: People, door: Door) -> None:
        self.pages = pages
        self.people = people
        self.door = door
        pages.route("/sign-in/passkey", Permission.EVERYBODY, self.sign_in, "POST")
        pages.route("/sign-in/passkey/challenge", Permission.EVERYBODY, self.ask_to_sign_in, "POST")
        pages.route("/access/passkeys", Permission.SIGNED_IN, self.change, "POST")
        pages.route("/access/passkeys/challenge", Permission.SIGNED_IN, self.ask_to_add, "POST")

    @property
    def _origin(self) -> str:
        if self.pages.origin is None:
            raise HTTPException(404)
        return self.pages.origin

    @property
    def _site(self) -> str:
        """The name that a passkey is bound to."""
        return str(urlsplit(self._origin).hostname)

    # Signing in

    def ask_to_sign_in(self, visit: Visit) -> Response:
        """What a device is to sign. Names no account: the device knows whose it is."""
        options = generate_authentication_options(
            rp_id=self._site, user_verification=UserVerificationRequirement.REQUIRED
        )
        self.door.count(visit)
        key = _key("sign in", token_of(visit.request, VISIT))
        self.people.challenges.keep(key, options.challenge, self.pages.clock())
        return Response(options_to_json(options), media_type="application/json")

    def sign_in(self, visit: Visit) -> Response:
        if visit.account is not None:
            return visit.to(START[visit.account.role])
        try:
            account = self._account(visit, self.pages.clock())
        except NoPasskeyError:
            return self.door.refuse(visit, visit.words.text("This passkey opens nothing here."))
        return self.door.let_in(visit, account)

    def _account(self, visit: Visit, now: datetime) -> Account:
        """Whose passkey has answered. Raises NoPasskeyError."""
        challenge = self.people.challenges.take(_key("sign in", token_of(visit.request, VISIT)), now)
        if challenge is None:
            raise NoPasskeyError("not asked for, or too late")
        answer = visit.given("answer", MOST_ANSWER)
        try:
            said = json.loads(answer)
            passkey = self.people.passkeys.one(base64url_to_bytes(said["rawId"]))
            if passkey is None:
                raise NoPasskeyError("not known")
            verified = verify_authentication_response(
                credential=answer,
                expected_challenge=challenge,
                expected_rp_id=self._site,
                expected_origin=self._origin,
                credential_public_key=passkey.public_key,
                credential_current_sign_count=passkey.count,
                require_user_verification=True,
            )
            handle = base64url_to_bytes(said["response"]["userHandle"])
        except (WebAuthnException, ValueError, KeyError, TypeError, AttributeError) as error:
            raise NoPasskeyError(str(error)) from error
        account = self.people.account(passkey.account_id, now)
        if account is None or not hmac.compare_digest(handle, self.people.handle(account)):
            raise NoPasskeyError("nobody's any more")
        if not self.people.passkeys.use(passkey, verified.new_sign_count, now):
            raise NoPasskeyError("used twice at once")
        return account

    # Adding and removing

    def ask_to_add(self, visit: Visit) -> Response:
        """What a device is to make a new passkey with; one that holds one for this account already says so."""
        who = visit.who
        options = generate_registration_options(
            rp_id=self._site,
            rp_name=self.pages.district.label.fr,
            user_id=self.people.handle(who),
            user_name=who.name,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
            ),
            exclude_credentials=[
                PublicKeyCredentialDescriptor(id=held.credential) for held in self.people.passkeys.of(who.id)
            ],
        )
        key = _key("add", token_of(visit.request))
        self.people.challenges.keep(key, options.challenge, self.pages.clock())
        return Response(options_to_json(options), media_type="application/json")

    def change(self, visit: Visit) -> Response:
        now = self.pages.clock()
        match visit.given("do", 12):
            case "add":
                try:
                    made = self._made(visit, now)
                except NoPasskeyError as error:
                    raise HTTPException(422) from error
                if not self.people.passkeys.add(made, visit.by, visit.who.home):
                    raise HTTPException(422)
            case "end":
                key = visit.given("key", 2100)
                if not self.people.passkeys.remove(visit.who.id, key, visit.by, visit.who.home, now):
                    raise HTTPException(404)
            case _:
                raise HTTPException(422)
        return visit.to("/access")

    def _made(self, visit: Visit, now: datetime) -> Passkey:
        """The passkey that a device has made. Raises NoPasskeyError."""
        challenge = self.people.challenges.take(_key("add", token_of(visit.request)), now)
        label = visit.given("label", 40)
        if challenge is None or not label:
            raise NoPasskeyError("not asked for, too late, or without a name")
        try:
            verified = verify_registration_response(
                credential=visit.given("answer", MOST_ANSWER),
                expected_challenge=challenge,
                expected_rp_id=self._site,
                expected_origin=self._origin,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, KeyError, TypeError, AttributeError) as error:
            raise NoPasskeyError(str(error)) from error
        return Passkey(
            verified.credential_id,
            visit.who.id,
            verified.credential_public_key,
            verified.sign_count,
            label,
            since=now,
            used=None,
        )


def _key(what: str, secret: str) -> str:
    """Under which a challenge is kept: another for each browser and each purpose."""
    return f"passkey {what} {secret}"
