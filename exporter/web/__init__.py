"""The daemon's HTTP side: ``app.create_app`` makes the ASGI application, ``server.WebServer`` serves it.

``daemon_api`` is what it needs from the daemon, ``page`` the HTML, ``actions`` and ``links`` what people do to alerts;
``hosts``, ``limits``, ``sessions`` and ``users`` decide who may do what. Nothing here checks a target. Import from the
modules: this package imports nothing, because Starlette and uvicorn are slow to start.
"""
