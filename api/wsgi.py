"""The serving process: the app with its worker."""

import gc

from api.app_factory import create_app, start_worker

app = create_app()
start_worker(app)

# What is loaded by now stays for good: a full collection need not walk it again and again.
gc.collect()
gc.freeze()
# A burst of requests makes objects by the ten thousand that all live; they are looked through less often.
gc.set_threshold(20_000, 10, 10)
