"""Pages of the connected Notion, before documents are made of them."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http.auth import knowledge
from api.controllers.http.door import render, runtime
from api.controllers.http.parsing import parse
from api.controllers.schemas.notion import MODELS, PAGES, PAGES_FOR, PREVIEW, PagesIn, render_pages
from api.core.rag.sources.notion import Kind
from api.principal import Principal
from api.services import notion_pages

ns = Namespace("notion", path="/", description="Pages of Notion")
for model in MODELS:
    ns.add_model(model.name, model)


@ns.route("/notion/pre-import/pages")
class NotionPages(Resource):
    """What there is to choose from."""

    @ns.expect(PAGES_FOR)
    @ns.response(200, "Pages and databases, last edited first.", PAGES)
    @knowledge(may_edit=True)
    def get(self, principal: Principal) -> Response:
        """List the pages and databases the connected Notion shows."""
        asked = parse(PAGES_FOR, PagesIn)
        return render(render_pages(notion_pages.load_pages(runtime(), principal, asked.dataset_id)))


@ns.route("/notion/pages/<string:page_id>/<any(page,database):page_type>/preview")
class NotionPreview(Resource):
    """What a page or database says."""

    @ns.response(200, "Its beginning.", PREVIEW)
    @knowledge(may_edit=True)
    def get(self, principal: Principal, page_id: str, page_type: Kind) -> Response:
        """Show the beginning of a page or database."""
        return render({"content": notion_pages.read_preview(runtime(), principal, page_id, page_type)})
