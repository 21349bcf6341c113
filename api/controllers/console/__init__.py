"""The console's doors, under /console/api, with their Swagger UI."""

from flask import Blueprint

from api import __version__
from api.controllers.console import (
    account,
    annotations,
    api_keys,
    app_config,
    app_files,
    app_messages,
    app_sites,
    apps,
    auth,
    custom_models,
    custom_tools,
    data_sources,
    dataset_reports,
    datasets,
    debug_chats,
    documents,
    draft_variables,
    explore,
    external_knowledge,
    files,
    index_estimates,
    mcp_servers,
    metadata,
    node_runs,
    notion,
    pipelines,
    plugin_packages,
    plugins,
    provider_credentials,
    providers,
    remote_files,
    retrieval,
    segment_imports,
    segments,
    setup,
    summaries,
    system,
    tags,
    tool_credentials,
    tools,
    triggers,
    websites,
    workflow_runs,
    workflow_tools,
    workflows,
    workspaces,
)
from api.controllers.http.swagger import AUTHORIZATIONS, DescribedApi, SwaggerDocument, SwaggerPage

NAME = "console"
"""Of the blueprint."""

NAMESPACES = (
    setup.ns,
    auth.ns,
    system.ns,
    account.ns,
    workspaces.ns,
    apps.ns,
    app_config.ns,
    annotations.ns,
    app_files.ns,
    app_messages.ns,
    app_sites.ns,
    debug_chats.ns,
    explore.ns,
    draft_variables.ns,
    node_runs.ns,
    workflow_runs.ns,
    workflows.ns,
    triggers.ns,
    api_keys.ns,
    providers.ns,
    retrieval.ns,
    provider_credentials.ns,
    custom_models.ns,
    documents.ns,
    files.ns,
    remote_files.ns,
    pipelines.ns,
    segments.ns,
    segment_imports.ns,
    summaries.ns,
    index_estimates.ns,
    datasets.ns,
    dataset_reports.ns,
    tags.ns,
    tools.ns,
    tool_credentials.ns,
    custom_tools.ns,
    mcp_servers.ns,
    workflow_tools.ns,
    plugins.ns,
    plugin_packages.ns,
    metadata.ns,
    external_knowledge.ns,
    data_sources.ns,
    notion.ns,
    websites.ns,
)


def create_blueprint() -> Blueprint:
    """Return the console API; its Swagger UI lies at /console/api/spec."""
    blueprint = Blueprint(NAME, __name__, url_prefix="/console/api")
    api = DescribedApi(
        blueprint,
        title="Slipway console API",
        version=__version__,
        doc="/spec",
        authorizations=AUTHORIZATIONS,
        security="bearer",
    )
    api.add_resource(SwaggerDocument, "/spec/swagger.json", route_doc=False)
    api.add_resource(SwaggerPage, "/swagger-ui.html", route_doc=False)
    for namespace in NAMESPACES:
        api.add_namespace(namespace)
    return blueprint
