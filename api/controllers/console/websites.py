"""Websites that are read to make documents of their pages."""

from flask import Response
from flask_restx import Namespace, Resource

from api.controllers.http import swagger
from api.controllers.http.auth import knowledge
from api.controllers.http.door import render, runtime, transactional
from api.controllers.http.parsing import parse
from api.controllers.schemas.website import (
    CRAWL,
    CRAWL_STARTED,
    CRAWL_STATE,
    CRAWL_WATCH,
    MODELS,
    CrawlIn,
    render_crawl,
    render_started,
)
from api.principal import Principal
from api.runtime import Session
from api.services import website_crawls

ns = Namespace("websites", path="/", description="Websites read for their pages")
for model in MODELS:
    ns.add_model(model.name, model)


@ns.route("/website/crawl")
class Crawls(Resource):
    """Crawls of websites."""

    @ns.expect(CRAWL)
    @ns.doc(params=swagger.IDEMPOTENCY_HEADER)
    @ns.response(200, "It has begun.", CRAWL_STARTED)
    @ns.response(429, "Three websites are being read for the workspace: rate_limit_exceeded.")
    @knowledge(may_edit=True)
    @transactional
    def post(self, session: Session, principal: Principal) -> Response:
        """Begin to read a website."""
        asked = parse(CRAWL, CrawlIn)
        crawl_id = website_crawls.start_crawl(runtime(), session, principal, asked.provider, asked.request)
        return render(render_started(crawl_id))


@ns.route("/website/crawl/status/<string:job_id>")
class Crawl(Resource):
    """One crawl."""

    @ns.expect(CRAWL_WATCH)
    @ns.response(200, "How far it is, with its pages once it is completed.", CRAWL_STATE)
    @knowledge(may_edit=True)
    def get(self, principal: Principal, job_id: str) -> Response:
        """Tell how far a crawl is; it is known for a day."""
        state, pages = website_crawls.get_crawl(runtime(), principal, job_id)
        return render(render_crawl(job_id, state, pages))
