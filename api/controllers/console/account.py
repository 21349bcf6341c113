"""A person's own account."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console, signed_in
from api.controllers.http.door import render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.account import (
    ACCOUNT,
    AVATAR,
    AVATAR_QUERY,
    AVATAR_URL,
    INITIAL,
    INTEGRATES,
    INTERFACE_LANGUAGE,
    INTERFACE_THEME,
    NAME,
    PASSWORD,
    TIMEZONE,
    AvatarIn,
    InitialIn,
    InterfaceLanguageIn,
    InterfaceThemeIn,
    NameIn,
    PasswordIn,
    TimezoneIn,
    render_account,
)
from api.principal import Principal, Role
from api.runtime import Session
from api.services import accounts

ns = Namespace("account", path="/", description="One's own account")
for model in (ACCOUNT, AVATAR_URL, INTEGRATES):
    ns.add_model(model.name, model)
member = console(Role.DATASET_OPERATOR)


@ns.route("/account/profile")
class Profile(Resource):
    """Who one is."""

    @ns.response(200, "The account.", ACCOUNT)
    @member
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """Show one's own account."""
        return render(render_account(accounts.get_profile(runtime(), session, principal)))


@ns.route("/account/name")
class Name(Resource):
    """The name others see."""

    @ns.expect(NAME)
    @ns.response(200, "The account as it is now.", ACCOUNT)
    @member
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Change one's name."""
        return _update(session, principal, name=parse(NAME, NameIn).name)


@ns.route("/account/avatar")
class Avatar(Resource):
    """The picture others see."""

    @ns.expect(AVATAR_QUERY)
    @ns.response(200, "Where it is seen.", AVATAR_URL)
    @member
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """Give the address of a picture: one's own, or an image of the workspace, by its id."""
        avatar = parse(AVATAR_QUERY, AvatarIn).avatar
        return render({"avatar_url": accounts.find_avatar_url(runtime(), session, principal, avatar)})

    @ns.expect(AVATAR)
    @ns.response(200, "The account as it is now.", ACCOUNT)
    @member
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Change one's picture: the id of an uploaded image, an address, or nothing."""
        return _update(session, principal, avatar=parse(AVATAR, AvatarIn).avatar)


@ns.route("/account/integrates")
class Integrates(Resource):
    """Other ways to sign in to one's account."""

    @ns.response(200, "None: accounts are signed in to with their password.", INTEGRATES)
    @member
    def get(self, principal: Principal) -> Response:
        """List the services one's account is bound to; there are none to bind to."""
        del principal
        return render({"data": []})


@ns.route("/account/interface-language")
class InterfaceLanguage(Resource):
    """The language of the console."""

    @ns.expect(INTERFACE_LANGUAGE)
    @ns.response(200, "The account as it is now.", ACCOUNT)
    @member
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Change the language."""
        asked = parse(INTERFACE_LANGUAGE, InterfaceLanguageIn)
        return _update(session, principal, interface_language=asked.interface_language)


@ns.route("/account/interface-theme")
class InterfaceTheme(Resource):
    """The colours of the console."""

    @ns.expect(INTERFACE_THEME)
    @ns.response(200, "The account as it is now.", ACCOUNT)
    @member
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Change the colours."""
        asked = parse(INTERFACE_THEME, InterfaceThemeIn)
        return _update(session, principal, interface_theme=asked.interface_theme)


@ns.route("/account/timezone")
class Timezone(Resource):
    """The time zone one reads times in."""

    @ns.expect(TIMEZONE)
    @ns.response(200, "The account as it is now.", ACCOUNT)
    @member
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Change the time zone."""
        return _update(session, principal, timezone=parse(TIMEZONE, TimezoneIn).timezone)


@ns.route("/account/init")
class Initialisation(Resource):
    """What an account says of itself at first."""

    @ns.expect(INITIAL)
    @ns.response(400, "It was said with the setup or the invitation: account_already_inited.")
    @member
    def post(self, principal: Principal) -> Response:
        """Refuse: there are no accounts that are not initialised."""
        del principal
        accounts.initialise(parse(INITIAL, InitialIn).timezone)


@ns.route("/account/password")
class Password(Resource):
    """The password."""

    @ns.expect(PASSWORD)
    @ns.response(200, "The account as it is now.", ACCOUNT)
    @ns.response(400, "repeat_password_not_match, current_password_incorrect, or too weak.")
    @member
    def post(self, principal: Principal) -> Response:
        """Change the password; all other sessions of the account end."""
        del principal
        asked = parse(PASSWORD, PasswordIn)
        profile = accounts.change_password(
            runtime(),
            signed_in(),
            current=asked.password,
            new=asked.new_password,
            repeated=asked.repeat_new_password,
        )
        return render(render_account(profile))


def _update(session: Session, principal: Principal, **changes: str) -> Response:
    return render(render_account(accounts.update_profile(runtime(), session, principal, **changes)))
