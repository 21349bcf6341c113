"""Jobs that read websites."""

from api.runtime import Runtime
from api.services import website_crawls
from api.services.jobs import Job, Lease
from api.tasks.registry import task


@task(Job.CRAWL_WEBSITE, give_up=website_crawls.give_up_crawl)
def crawl_website(runtime: Runtime, lease: Lease) -> None:
    """Read the pages of a website."""
    website_crawls.run_crawl(runtime, lease)
