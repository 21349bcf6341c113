"""Patches the standard library for gevent; the first import of every entry point."""

from gevent import events, monkey

# For each module it patches, gevent looks for plug-ins in what every installed package says of itself:
# thousands of files, 0.2 s of each start. The one there is warns of a patch in parts, which this is not.
events.notify_and_call_entry_points = events.notify
monkey.patch_all()
