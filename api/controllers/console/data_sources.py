"""Keys to the services documents are fetched from: shown masked, saved once the service takes them."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import console, knowledge
from api.controllers.http.door import render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.data_source import (
    BINDINGS,
    KEY,
    KEYS,
    MODELS,
    KeyIn,
    render_bindings,
    render_keys,
)
from api.controllers.schemas.fields import RESULT, render_success
from api.principal import Principal, Role
from api.runtime import Session
from api.services import data_sources

ns = Namespace("data_sources", path="/", description="Services documents are fetched from")
for model in (*MODELS, RESULT):
    ns.add_model(model.name, model)


@ns.route("/api-key-auth/data-source")
class DataSourceKeys(Resource):
    """The keys of the workspace."""

    @ns.response(200, "The crawler that needs none, and the keys, masked.", KEYS)
    @knowledge()
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """List the sources documents can be fetched from."""
        return render(render_keys(data_sources.load_keys(runtime(), session, principal)))

    @ns.expect(KEY)
    @ns.response(200, "Saved; the service takes it.", RESULT)
    @console(Role.ADMIN)
    def post(self, principal: Principal) -> Response:
        """Save the key of a service, in the place of an earlier one."""
        return _save_key(principal)


@ns.route("/api-key-auth/data-source/binding")
class NewDataSourceKey(Resource):
    """Where Dify's console sends a new key."""

    @ns.expect(KEY)
    @ns.response(200, "Saved; the service takes it.", RESULT)
    @console(Role.ADMIN)
    def post(self, principal: Principal) -> Response:
        """Save the key of a service, as the list of keys does too."""
        return _save_key(principal)


@ns.route("/api-key-auth/data-source/<string:binding_id>")
class DataSourceKey(Resource):
    """One key."""

    @ns.response(204, "Forgotten.")
    @console(Role.ADMIN)
    @transactional
    def delete(self, session: Session, principal: Principal, binding_id: str) -> Response:
        """Forget a key; documents made with it stay."""
        data_sources.delete_key(session, principal, binding_id)
        return Response(status=204)


@ns.route("/data-source/integrates")
class DataSourceBindings(Resource):
    """What the keys open."""

    @ns.response(200, "The services that are connected.", BINDINGS)
    @knowledge()
    @transactional
    def get(self, session: Session, principal: Principal) -> Response:
        """List the services the workspace is connected to."""
        return render(render_bindings(data_sources.load_keys(runtime(), session, principal)))


@ns.route("/data-source/integrates/<string:binding_id>/<string:action>")
class DataSourceBinding(Resource):
    """Whether a connection is used."""

    @ns.response(200, "Done.", RESULT)
    @console(Role.ADMIN)
    @transactional
    def patch(self, session: Session, principal: Principal, binding_id: str, action: str) -> Response:
        """Enable or disable a connection."""
        data_sources.switch(session, principal, binding_id, action)
        return render(render_success())


def _save_key(principal: Principal) -> Response:
    asked = parse(KEY, KeyIn)
    data_sources.save_key(runtime(), principal, asked.provider, asked.api_key)
    return render(render_success())
