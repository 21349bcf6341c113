"""The serving process: the app with its worker."""

import gc

from api.app_factory import create_app, start_worker

app = create_app()
start_worker(app)

# What is loaded by now stays for good: a full collection need not walk it again and again.
gc.collect()
gc.freeze()
