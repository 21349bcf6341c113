"""Model providers of the workspace: the catalogue, what is usable, the models used by default, icons."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console
from api.controllers.http.door import base_url, public, render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.provider import (
    DEFAULT_QUERY,
    DEFAULTS,
    ICONS,
    LANGUAGES,
    PROVIDER_LIST,
    PROVIDER_LIST_MODEL,
    PROVIDER_MODEL,
    RULES_QUERY,
    DefaultQuery,
    DefaultsIn,
    ProviderListIn,
    RulesQuery,
    model_type,
    render_default,
    render_provider,
    render_rule,
    render_usable,
)
from api.principal import Principal, Role
from api.runtime import Session
from api.services import plugin_files, providers

ICON = f"<any({','.join(ICONS)}):size>/<any({','.join(LANGUAGES)}):language>"
ICON_HEADERS = {
    "Cache-Control": "public, max-age=86400",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "X-Content-Type-Options": "nosniff",
}

ns = Namespace("providers", path="/", description="Model providers of the workspace")
for model in (PROVIDER_MODEL, PROVIDER_LIST_MODEL):
    ns.add_model(model.name, model)


@ns.route("/workspaces/current/model-providers")
class Providers(Resource):
    """Every known provider."""

    @ns.expect(PROVIDER_LIST)
    @ns.response(200, "The providers, configured or not.", PROVIDER_LIST_MODEL)
    @console()
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """List model providers with their models and what is configured of them."""
        kind = parse(PROVIDER_LIST, ProviderListIn).model_type
        views = providers.load_providers(runtime(), session, principal, kind)
        return render({"data": [render_provider(view, base_url()) for view in views]})


@ns.route("/workspaces/current/model-providers/<path:provider>/models/parameter-rules")
class ParameterRules(Resource):
    """The completion parameters of a model."""

    @ns.expect(RULES_QUERY)
    @ns.response(200, "The parameters.")
    @console()
    @transactional
    def get(self, session: Session, principal: Principal, provider: str) -> Response:
        """List the completion parameters a chat model accepts."""
        asked = parse(RULES_QUERY, RulesQuery)
        rules = providers.get_rules(runtime(), session, principal, provider, asked.model)
        return render({"data": [render_rule(rule) for rule in rules]})


@ns.route("/workspaces/current/models/model-types/<kind>")
class UsableModels(Resource):
    """The models of a type that can be called now."""

    @ns.response(200, "Providers in use, with those of their models that can be called.")
    @console()
    @transactional
    def get(self, session: Session, principal: Principal, kind: str) -> Response:
        """List the usable models of a type by provider."""
        views = providers.load_providers(runtime(), session, principal, model_type(kind))
        return render({"data": [render_usable(view, base_url()) for view in views if view.usable_models]})


@ns.route("/workspaces/current/default-model")
class DefaultModel(Resource):
    """The models used where none is named."""

    @ns.expect(DEFAULT_QUERY)
    @ns.response(200, "The model, or null.")
    @console()
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """Show the model used for a type where none is named."""
        kind = parse(DEFAULT_QUERY, DefaultQuery).model_type
        found = providers.get_default(runtime(), session, principal, kind)
        style = runtime().limits.provider_id_style
        return render({"data": render_default(found, kind, principal.tenant_id, base_url(), style)})

    @ns.expect(DEFAULTS)
    @ns.response(200, "Set.")
    @console(Role.ADMIN)
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Choose the models used where none is named; types without a model stay as they are."""
        providers.update_defaults(runtime(), session, principal, parse(DEFAULTS, DefaultsIn).chosen)
        return render({"result": "success"})


@ns.route(f"/workspaces/<tenant>/model-providers/<path:provider>/{ICON}")
class ProviderIcon(Resource):
    """A provider's picture."""

    @ns.produces(["image/svg+xml", "image/png", "image/jpeg", "image/webp"])
    @ns.response(200, "The picture.")
    @public
    def get(self, tenant: str, provider: str, size: str, language: str) -> Response:
        """Fetch a provider's icon; it is the same for every size and language."""
        del size, language
        icon = plugin_files.get_provider_icon(runtime(), tenant, provider)
        return Response(icon.content, headers=ICON_HEADERS, content_type=icon.mime_type)
