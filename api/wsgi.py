"""The serving process: the app, its worker, and what is warmed up behind the first requests."""

from api.app_factory import create_app, start_worker

app = create_app()
start_worker(app)
